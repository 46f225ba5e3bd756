#include "r1/model/transformer.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/nn/block.h"
#include "r1/nn/embedding.h"
#include "r1/nn/norm.h"
#include "r1/ops/logprob.h"
#include "r1/ops/rotary.h"

namespace r1::model {

struct Transformer::Parts : nn::Module {
  nn::Embedding embedding;
  std::vector<std::unique_ptr<nn::Block>> blocks;
  nn::RmsNorm norm;
  Tensor head_VD;  // undefined: tied

  Parts(const ModelConfig& config, const nn::Placement& placement);
  void parameters(nn::ParameterList list) override;
};

namespace {

std::shared_ptr<const ops::RotaryTable> rotary_of(const ModelConfig& c, at::Device device) {
  ops::RotaryScaling scaling;
  scaling.kind = c.rope.type == "llama3"   ? ops::RotaryScaling::kLlama3
                 : c.rope.type == "linear" ? ops::RotaryScaling::kLinear
                                           : ops::RotaryScaling::kNone;
  scaling.factor = c.rope.factor;
  scaling.low_freq_factor = c.rope.low_freq_factor;
  scaling.high_freq_factor = c.rope.high_freq_factor;
  scaling.original_max_positions = double(c.rope.original_max_position_embeddings);
  return std::make_shared<ops::RotaryTable>(
      ops::rotary_table(ops::rotary_frequencies(c.head_dim, c.rope_theta, scaling), c.max_position_embeddings, device));
}

nn::GqaShape attention_of(const ModelConfig& c) {
  nn::GqaShape shape;
  shape.dim = c.hidden_size;
  shape.heads = c.num_attention_heads;
  shape.kv_heads = c.num_key_value_heads;
  shape.head_dim = c.head_dim;
  shape.qkv_bias = c.attention_bias;
  shape.output_bias = c.attention_bias && c.family != "qwen2";
  shape.qk_norm = c.qk_norm;
  shape.norm_eps = c.rms_norm_eps;
  return shape;
}

ModelConfig finished(ModelConfig config) {
  finish_config(config);
  return config;
}

// Standard normal for element i of stream `stream`: Box-Muller on one Philox draw, so that threads may fill in any order.
float normal_at(uint64_t seed, uint64_t stream, uint64_t i) {
  const auto r =
      philox4x32({uint32_t(i), uint32_t(i >> 32), uint32_t(stream), uint32_t(stream >> 32)}, {uint32_t(seed), uint32_t(seed >> 32)});
  const double u = (double(uint64_t(r[0]) << 21 ^ r[1] >> 11) + 0.5) * 0x1p-53, v = (double(r[2]) + 0.5) * 0x1p-32;
  return float(std::sqrt(-2 * std::log(u)) * std::cos(2 * M_PI * v));
}

void fill_normal(const Tensor& weight, double deviation, uint64_t seed, uint64_t stream) {
  const Tensor host =
      weight.is_cpu() && weight.scalar_type() == at::kFloat ? weight : weight.to(at::kCPU, at::kFloat, false, /*copy=*/true);
  float* out = host.mutable_data_ptr<float>();
  at::parallel_for(0, host.numel(), 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = float(deviation * normal_at(seed, stream, uint64_t(i)));
  });
  if (!host.is_same(weight)) weight.copy_(host);
}

}  // namespace

Transformer::Parts::Parts(const ModelConfig& c, const nn::Placement& placement)
    : embedding(c.vocab_size, c.hidden_size, placement), norm(c.hidden_size, c.rms_norm_eps, placement) {
  const auto rotary = rotary_of(c, placement.device);
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    blocks.push_back(std::make_unique<nn::Block>(int(i), attention_of(c), c.intermediate_size, rotary, placement));
  }
  if (!c.tie_word_embeddings) head_VD = nn::new_weight({c.vocab_size, c.hidden_size}, placement);
}

void Transformer::Parts::parameters(nn::ParameterList list) {
  embedding.parameters(list);
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i]->parameters(list.under(str("layers.", i)));
  norm.parameters(list, "norm");
  if (head_VD.defined()) list.add("head", head_VD);
}

Transformer::Transformer(const ModelConfig& config, tensor::Device device, tensor::DType dtype)
    : config_(finished(config)), device_(device), dtype_(dtype), parts_(std::make_unique<Parts>(config_, nn::Placement{device, dtype})) {
  std::vector<nn::Parameter> parameters;
  parts_->parameters(nn::ParameterList(parameters));
  weights_ = make_weight_table(parameters, config_.family);
}

Transformer::~Transformer() = default;

void Transformer::init_weights(uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < weights_.size(); ++i) {
    const Tensor& weight = *weights_[i].tensor;
    switch (weights_[i].kind) {
      case WeightKind::kNorm:
        weight.fill_(1);
        break;
      case WeightKind::kBias:
        weight.fill_(0);
        break;
      default:
        fill_normal(weight, config_.initializer_range, seed, i);
    }
  }
  bump_version();
}

Tensor Transformer::hidden(const Tensor& ids_T, const nn::AttentionContext& context, std::vector<nn::LayerCache>* caches,
                           ForwardOptions options) {
  check(ids_T.dim() == 1 && ids_T.size(0) == context.tokens(), "[transformer] expected ", context.tokens(), " ids, got ", ids_T.sizes());
  check(!context.paged || (caches && caches->size() == parts_->blocks.size()), "[transformer] expected a cache for each of ",
        parts_->blocks.size(), " layers, got ", caches ? caches->size() : 0);
  for (const int32_t p : context.positions) {
    check(p >= 0 && p < config_.max_position_embeddings,
          "[transformer] expected positions below max_position_embeddings = ", config_.max_position_embeddings, ", got ", p);
  }
  const nn::LayerContext layer_context = nn::layer_context(context, device_);
  const auto observe = [&](int layer, const Tensor& x_TD) {
    if (options.observe) options.observe(layer, x_TD);
  };
  Tensor x_TD = parts_->embedding(ids_T);
  observe(-1, x_TD);
  for (size_t i = 0; i < parts_->blocks.size(); ++i) {
    nn::Block& block = *parts_->blocks[i];
    x_TD = options.activation_checkpointing && !context.paged ? block.checkpointed(x_TD, layer_context)
                                                              : block(x_TD, layer_context, context.paged ? &(*caches)[i] : nullptr);
    observe(int(i), x_TD);
  }
  x_TD = parts_->norm(x_TD);
  observe(num_layers(), x_TD);
  return x_TD;
}

Tensor Transformer::logits(const Tensor& x_RD) const {
  return ops::linear_logits(x_RD, head());
}

const Tensor& Transformer::head() const {
  return parts_->head_VD.defined() ? parts_->head_VD : parts_->embedding.weight();
}

void Transformer::set_requires_grad(bool on) {
  for (WeightRow& row : weights_) row.tensor->set_requires_grad(on);
}

int64_t Transformer::cache_bytes(int layer, int block_size) const {
  return parts_->blocks.at(size_t(layer))->cache_bytes(block_size);
}

int Transformer::num_layers() const {
  return int(parts_->blocks.size());
}

}  // namespace r1::model
