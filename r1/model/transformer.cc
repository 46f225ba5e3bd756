#include "r1/model/transformer.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/dist/group.h"
#include "r1/model/layers.h"
#include "r1/nn/block.h"
#include "r1/nn/embedding.h"
#include "r1/nn/tensor_parallel.h"
#include "r1/ops/logprob.h"
#include "r1/tensor/aten.h"

namespace r1::model {

struct Transformer::Parts : nn::Module {
  nn::Embedding embedding;
  std::unique_ptr<nn::Embedding> positions;  // learned ones; null: none
  std::vector<std::unique_ptr<nn::Block>> blocks;
  std::vector<std::unique_ptr<nn::Mtp>> mtp;
  std::unique_ptr<nn::Norm> norm;
  nn::Weight head_VD;                                     // undefined: tied
  std::vector<std::shared_ptr<ops::RotaryTable>> rotary;  // the blocks' own
  void arrange() override;

  // What carries state from token to token, in the order of the caches: of each block its attention, then its MLP where that has state.
  // Blocks of `mtp` come last.
  struct CacheOwner {
    const nn::Block* block;
    bool is_mlp;
    int64_t bytes(const ops::CacheForm& form) const {
      return is_mlp ? block->mlp().cache_bytes(form) : block->attention().cache_bytes(form);
    }
  };
  std::vector<CacheOwner> cache_owners;
  std::vector<size_t> first_cache;  // by block (block_at); one more entry for the end
  const nn::Block& block_at(size_t i) const { return i < blocks.size() ? *blocks[i] : mtp[i - blocks.size()]->block(); }
  void list_caches();

  Parts(const ModelConfig& config, const nn::Placement& placement);
  void parameters(nn::ParameterList list) override;
  void after_step(const nn::ForwardRecord& record) override;
  nn::BlockCaches caches_of(size_t block, const std::vector<nn::LayerCache>& caches) const;
  // Checks the largest position and makes the rotary tables long enough for it.
  void reach(int64_t last, int64_t most) const;
};

namespace {

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

void check_sequences(const ops::Sequences& sequences, at::Device device) {
  check(sequences.positions_T.defined() && sequences.positions_T.device().type() == device.type(),
        "[transformer] expected sequences made by ops::sequences_on(", device, "), got ",
        sequences.positions_T.defined() ? r1::str("some on ", sequences.positions_T.device()) : "bare lists");
}

}  // namespace

Transformer::Parts::Parts(const ModelConfig& c, const nn::Placement& placement)
    : embedding(c.vocab_size, c.hidden_size, placement, c.embedding_scale) {
  if (c.positions == "learned") positions = std::make_unique<nn::Embedding>(c.max_position_embeddings, c.hidden_size, placement.alone());
  LayerFactory layers(c, placement);
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    blocks.push_back(std::make_unique<nn::Block>(int(i), layers.block(i)));
  }
  for (int64_t i = 0; i < c.num_nextn_predict_layers; ++i) {
    const int64_t layer = c.num_hidden_layers + i;
    mtp.push_back(std::make_unique<nn::Mtp>(int(layer), c.hidden_size, layers.mtp(layer), placement));
  }
  list_caches();
  norm = layers.norm("norm");
  if (!c.tie_word_embeddings) head_VD = nn::Weight({c.vocab_size / placement.group.size, c.hidden_size}, placement);
  rotary = layers.rotary_tables();
}

// A config may allow a context that nobody's memory holds: tables grow with the texts, by doubling.
void Transformer::Parts::reach(int64_t last, int64_t most) const {
  constexpr int64_t kFirst = 1024;
  check(last < most, "[transformer] expected positions below max_position_embeddings = ", most, ", got ", last);
  for (const auto& table : rotary) {
    if (last >= table->positions()) table->reach(std::min(most, std::max({kFirst, last + 1, 2 * table->positions()})));
  }
}

void Transformer::Parts::list_caches() {
  for (size_t i = 0; i < blocks.size() + mtp.size(); ++i) {
    const nn::Block& block = block_at(i);
    first_cache.push_back(cache_owners.size());
    cache_owners.push_back({&block, /*is_mlp=*/false});
    if (block.mlp().has_cache()) cache_owners.push_back({&block, /*is_mlp=*/true});
  }
  first_cache.push_back(cache_owners.size());
}

void Transformer::Parts::parameters(nn::ParameterList list) {
  embedding.parameters(list);
  if (positions) positions->parameters(list, "positions");
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i]->parameters(list.under(str("layers.", i)));
  for (size_t i = 0; i < mtp.size(); ++i) mtp[i]->parameters(list.under(str("layers.", blocks.size() + i)));
  norm->parameters(list, "norm");
  if (head_VD.defined()) list.add("head", head_VD);
}

void Transformer::Parts::arrange() {
  for (const auto& block : blocks) block->arrange();
  for (const auto& module : mtp) module->arrange();
}

void Transformer::Parts::after_step(const nn::ForwardRecord& record) {
  for (const auto& block : blocks) block->after_step(record);
  for (const auto& module : mtp) module->after_step(record);
  norm->after_step(record);
}

nn::BlockCaches Transformer::Parts::caches_of(size_t block, const std::vector<nn::LayerCache>& caches) const {
  const nn::LayerCache* first = &caches[first_cache[block]];
  return {.attention = first, .mlp = block_at(block).mlp().has_cache() ? first + 1 : nullptr};
}

Transformer::Transformer(const ModelConfig& config, tensor::Device device, tensor::DType dtype, Allocation allocation, dist::Group* ranks)
    : config_(finished(config)), device_(device), dtype_(dtype), ranks_(nn::is_shared_out(ranks) ? ranks : nullptr) {
  shard_config(config_, group());  // what cannot be shared out is said before there is anything
  parts_ = std::make_unique<Parts>(
      config_,
      nn::Placement{.device = device, .dtype = dtype, .group = group(), .ranks = ranks_, .deferred = allocation == Allocation::kAsLoaded});
  std::vector<nn::Parameter> parameters;
  parts_->parameters(nn::ParameterList(parameters));
  weights_ = make_weight_table(parameters, family_of(config_.family), group(), config_.num_key_value_heads);
  if (allocation == Allocation::kAtOnce) arrange();
}

Transformer::~Transformer() = default;

nn::Group Transformer::group() const {
  return ranks_ ? nn::Group{ranks_->rank(), ranks_->size()} : nn::Group{};
}

void Transformer::init_weights(uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < weights_.size(); ++i) {
    if (weights_[i].weight) weights_[i].weight->make_plain();
    const Tensor& weight = *weights_[i].tensor;
    switch (weights_[i].kind) {
      case WeightKind::kNorm:
        weight.fill_(1 - weights_[i].gguf_plus);
        break;
      case WeightKind::kBias:
      case WeightKind::kBuffer:
        weight.fill_(0);
        break;
      default:
        if (is_split(weights_[i])) {  // the numbers of the whole, which is there meanwhile
          const Tensor whole = aten::empty(weights_[i].whole_shape, at::kFloat);
          fill_normal(whole, config_.initializer_range, seed, i);
          weight.copy_(shard_of(weights_[i], whole, group()));
        } else {
          fill_normal(weight, config_.initializer_range, seed, i);
        }
    }
  }
  bump_version();
}

Tensor Transformer::hidden(const Tensor& ids_T, const nn::LayerContext& context, std::vector<nn::LayerCache>* caches,
                           ForwardOptions options) {
  check(ids_T.dim() == 1 && ids_T.size(0) == context.sequences.tokens(), "[transformer] expected ", context.sequences.tokens(),
        " ids, got ", ids_T.sizes());
  return hidden_from(embed(ids_T), context, caches, std::move(options));
}

Tensor Transformer::embed(const Tensor& ids_T) const {
  return parts_->embedding(ids_T);
}

Tensor Transformer::entered(const Tensor& ids_T, const nn::LayerContext& context) {
  check_sequences(context.sequences, device_);
  parts_->reach(context.sequences.max_position, config_.max_position_embeddings);
  const Tensor x_TD = embed(ids_T);
  return parts_->positions ? x_TD + (*parts_->positions)(context.sequences.positions_T.to(at::kLong)) : x_TD;
}

Tensor Transformer::through_block(int layer, const Tensor& x_TD, const nn::LayerContext& context) const {
  parts_->reach(context.sequences.max_position, config_.max_position_embeddings);
  return (*parts_->blocks.at(size_t(layer)))({x_TD, {}}, context).sum();
}

Tensor Transformer::final_norm(const Tensor& x_TD, const nn::LayerContext& context) const {
  return (*parts_->norm)(x_TD, context);
}

Tensor Transformer::hidden_from(const Tensor& embedded_TD, const nn::LayerContext& context, std::vector<nn::LayerCache>* caches,
                                ForwardOptions options) {
  const ops::Sequences& sequences = context.sequences;
  check_sequences(sequences, device_);
  check(embedded_TD.dim() == 2 && embedded_TD.size(0) == sequences.tokens() && embedded_TD.size(1) == config_.hidden_size,
        "[transformer] expected embeddings [", sequences.tokens(), ", ", config_.hidden_size, "], got ", embedded_TD.sizes());
  check(!sequences.paged() || (caches && int(caches->size()) >= num_caches()), "[transformer] expected ", num_caches(), " caches, got ",
        caches ? caches->size() : 0);
  parts_->reach(sequences.max_position, config_.max_position_embeddings);
  const auto observe = [&](int layer, const Tensor& x_TD) {
    if (options.observe) options.observe(layer, x_TD);
  };
  nn::Residual stream{embedded_TD, {}};
  if (parts_->positions) {
    check(sequences.position_components == 1, "[transformer] learned positions have one component, got ", sequences.position_components);
    stream.x_TD = stream.x_TD + (*parts_->positions)(sequences.positions_T.to(at::kLong));
  }
  observe(-1, stream.x_TD);
  for (size_t i = 0; i < parts_->blocks.size(); ++i) {
    nn::Block& block = *parts_->blocks[i];
    if (options.activation_checkpointing && !sequences.paged())
      stream = {block.checkpointed(stream.sum(), context), {}};
    else
      stream = block(stream, context, sequences.paged() ? parts_->caches_of(i, *caches) : nn::BlockCaches{});
    if (options.observe) stream = {stream.sum(), {}};
    observe(int(i), stream.x_TD);
  }
  const Tensor x_TD =
      stream.delta_TD.defined() ? parts_->norm->add(stream.x_TD, stream.delta_TD, context).normed : (*parts_->norm)(stream.x_TD, context);
  observe(num_layers(), x_TD);
  return x_TD;
}

int Transformer::mtp_depth() const {
  return int(parts_->mtp.size());
}

Tensor Transformer::mtp_hidden(int depth, const Tensor& h_TD, const Tensor& next_ids_T, const nn::LayerContext& context,
                               std::vector<nn::LayerCache>* caches) {
  check(depth >= 0 && depth < mtp_depth(), "[mtp] expected a depth below ", mtp_depth(), ", got ", depth);
  check_sequences(context.sequences, device_);
  check(!context.sequences.paged() || (caches && int(caches->size()) == num_caches(true)), "[mtp] expected ", num_caches(true),
        " caches, got ", caches ? caches->size() : 0);
  parts_->reach(context.sequences.max_position, config_.max_position_embeddings);
  const nn::BlockCaches mine =
      context.sequences.paged() ? parts_->caches_of(parts_->blocks.size() + size_t(depth), *caches) : nn::BlockCaches{};
  return (*parts_->mtp[size_t(depth)])(h_TD, embed(next_ids_T), context, mine);
}

Tensor Transformer::mtp_normed(int depth, const Tensor& g_TD) const {
  return parts_->mtp.at(size_t(depth))->head_norm(g_TD, {});
}

Tensor Transformer::logits(const Tensor& x_RD) const {
  return nn::gathered_logits(head_weight().logits(x_RD), ranks_);
}

Tensor Transformer::logprob(const Tensor& x_TD, const Tensor& targets_T) const {
  return ranks_ ? linear_logprob(x_TD, targets_T).logprob_T.detach() : head_weight().logprob(x_TD, targets_T);
}

ops::LogProbs Transformer::linear_logprob(const Tensor& x_TD, const Tensor& targets_T, double temperature, bool want_entropy) const {
  if (!ranks_) return ops::linear_logprob(x_TD, head(), targets_T, temperature, want_entropy);
  const ops::HeadShare share = nn::head_share(head_weight().sizes()[0], ranks_);
  return ops::linear_logprob(nn::shared(x_TD, ranks_), head(), targets_T, temperature, want_entropy, &share);
}

const nn::Weight& Transformer::head_weight() const {
  return parts_->head_VD.defined() ? parts_->head_VD : parts_->embedding.weight();
}

Tensor Transformer::head() const {
  return head_weight().dense();
}

void Transformer::set_requires_grad(bool on) {
  for (const WeightRow& row : weights_) {
    if (on && row.weight && row.weight->packed())
      fail("weight ", row.name, " lies packed (", row.weight->format(), "), and packed weights cannot be trained: load the model unpacked");
  }
  for (WeightRow& row : weights_) row.tensor->set_requires_grad(on && row.kind != WeightKind::kBuffer);
}

void Transformer::after_step(const nn::ForwardRecord& record) {
  parts_->after_step(record);
}

void Transformer::arrange() {
  parts_->arrange();
}

bool Transformer::replayable() const {
  const bool packed = std::any_of(weights_.begin(), weights_.end(),
                                  [](const WeightRow& row) { return row.weight && row.weight->packed() && !row.weight->on_device(); });
  return !packed && !ranks_ && std::all_of(parts_->blocks.begin(), parts_->blocks.end(), [](const auto& block) {
    return block->attention().replayable() && block->mlp().replayable();
  });
}

void Transformer::reach(int64_t position) {
  parts_->reach(position, config_.max_position_embeddings);
}

uint64_t Transformer::memory_stamp() const {
  uint64_t stamp = 0;
  const auto mix = [&](const void* address) {
    stamp = (stamp ^ uint64_t(reinterpret_cast<uintptr_t>(address))) * 0x9E3779B97F4A7C15;
    stamp ^= stamp >> 29;
  };
  for (const WeightRow& row : weights_)
    mix(row.weight ? row.weight->address() : row.tensor->is_meta() ? nullptr : row.tensor->const_data_ptr());
  for (const auto& table : parts_->rotary) mix(table->cos_PH.const_data_ptr()), mix(table->sin_PH.const_data_ptr());
  return stamp;
}

int Transformer::num_caches(bool mtp) const {
  return int(parts_->first_cache[parts_->blocks.size() + (mtp ? parts_->mtp.size() : 0)]);
}

int64_t Transformer::cache_bytes(int cache, const ops::CacheForm& form) const {
  return parts_->cache_owners.at(size_t(cache)).bytes(form);
}

void Transformer::keep_heavy_hitters(const std::vector<nn::LayerCache>& caches, const ops::CacheForm& form,
                                     const ops::HeldTokens& tokens) const {
  for (size_t i = 0; i < caches.size(); ++i)
    if (const Parts::CacheOwner& owner = parts_->cache_owners.at(i); !owner.is_mlp)
      owner.block->attention().keep_heavy_hitters(caches[i], form, tokens);
}

int Transformer::num_layers() const {
  return int(parts_->blocks.size());
}

}  // namespace r1::model
