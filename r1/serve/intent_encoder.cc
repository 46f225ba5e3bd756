#include "r1/serve/intent_encoder.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "r1/base/error.h"
#include "r1/model/weights_io.h"
#include "r1/ops/dropout.h"
#include "r1/ops/embedding.h"
#include "r1/ops/linear.h"
#include "r1/ops/norm.h"
#include "r1/ops/swiglu.h"
#include "r1/tensor/aten.h"

namespace r1::serve {
namespace {

constexpr int64_t kMaxTokens = 512;

void check_kind(const model::ModelConfig& c) {
  const auto refuse = [](const std::string& what) {
    fail_usage("the intent encoder runs llama-like models (full attention, rotary positions, RMS norm, SwiGLU); this one has ", what);
  };
  if (c.attention != "full" || c.attn.window > 0) refuse("attention '" + c.attention + "'" + (c.attn.window > 0 ? " with a window" : ""));
  if (c.norm != "rms" || c.post_norms) refuse("norm '" + c.norm + "'" + (c.post_norms ? " after layers as well" : ""));
  if (c.ffn != "swiglu" || c.mlp_bias) refuse("an MLP of kind '" + c.ffn + "'" + (c.mlp_bias ? " with biases" : ""));
  if (c.positions != "rope" || c.rope_interleaved || c.rope.type != "none")
    refuse("positions '" + c.positions + "', scaling '" + c.rope.type + "'");
  if (c.moe.n_routed_experts > 0) refuse("experts");
  if (c.qk_norm) refuse("norms of queries and keys");
  if (c.embedding_scale != 1) refuse("a scaled embedding");
}

bool has_weight(const model::WeightTable& table, const std::string& name) {
  return std::any_of(table.begin(), table.end(), [&](const model::WeightRow& row) { return row.name == name; });
}

}  // namespace

// What of a batch every layer reads: rows' positions, and which keys are padding.
struct IntentEncoder::Masks {
  int64_t messages = 0, longest = 0;
  Tensor positions_T;   // int32
  Tensor padding_B11L;  // bool; undefined: there is none
  Tensor present_BL1;   // fp32, 1 for a token, 0 for padding; undefined: all are there
  Tensor lengths_B1;    // fp32
};

MessageBatch message_batch(const std::vector<std::vector<text::TokenId>>& messages, tensor::Device device) {
  check(!messages.empty(), "[intent] expected at least one message");
  size_t longest = 0;
  MessageBatch batch;
  for (const auto& ids : messages) {
    check(!ids.empty(), "[intent] expected at least one token in a message");
    longest = std::max(longest, ids.size());
    batch.lengths.push_back(int64_t(ids.size()));
  }
  std::vector<int64_t> padded(messages.size() * longest, 0);
  for (size_t b = 0; b < messages.size(); ++b)
    std::copy(messages[b].begin(), messages[b].end(), padded.begin() + std::ptrdiff_t(b * longest));
  batch.ids_BL = aten::tensor(padded, at::kLong).view({int64_t(messages.size()), int64_t(longest)}).to(device);
  return batch;
}

IntentEncoder::IntentEncoder(std::unique_ptr<model::Transformer> model) : model_(std::move(model)) {
  const model::ModelConfig& c = model_->config();
  check_kind(c);
  const model::WeightTable& table = model_->weights();
  const auto weight = [&](const std::string& name) { return *model::find_weight(table, name).tensor; };
  const auto if_there = [&](const std::string& name) { return has_weight(table, name) ? weight(name) : Tensor(); };
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    const std::string at = r1::str("layers.", i, ".");
    if (has_weight(table, at + "attention.o_bias")) fail_usage("the intent encoder knows no bias after attention, and this model has one");
    layers_.push_back({.attention_norm = weight(at + "attention_norm"),
                       .q = weight(at + "attention.q"),
                       .k = weight(at + "attention.k"),
                       .v = weight(at + "attention.v"),
                       .o = weight(at + "attention.o"),
                       .q_bias = if_there(at + "attention.q_bias"),
                       .k_bias = if_there(at + "attention.k_bias"),
                       .v_bias = if_there(at + "attention.v_bias"),
                       .mlp_norm = weight(at + "mlp_norm"),
                       .gate = weight(at + "mlp.gate"),
                       .up = weight(at + "mlp.up"),
                       .down = weight(at + "mlp.down")});
  }
  embedding_VD_ = weight("embedding");
  norm_D_ = weight("norm");
  rotary_ = ops::rotary_table(ops::rotary_frequencies(c.head_dim, c.rope_theta, {}), std::min(kMaxTokens, c.max_position_embeddings),
                              model_->device());
}

std::unique_ptr<model::Transformer> IntentEncoder::first_layers(const std::filesystem::path& path, int64_t layers, tensor::Device device) {
  const at::NoGradGuard no_grad;
  const auto whole = model::load_model(path, at::kCPU, at::kFloat);
  model::ModelConfig config = whole->config();
  check_kind(config);
  const bool all = layers <= 0 || layers >= config.num_hidden_layers;
  if (!all) config.num_hidden_layers = layers;
  config.num_nextn_predict_layers = 0;
  config.tie_word_embeddings = true;  // the head is not used, so none is kept
  auto model = std::make_unique<model::Transformer>(config, device, at::kFloat);
  for (model::WeightRow& row : model->weights()) row.tensor->copy_(model::whole_weight(model::find_weight(whole->weights(), row.name)));
  // The final norm's weights are made for the last layer's outputs.
  if (!all) model::find_weight(model->weights(), "norm").tensor->fill_(1);
  model->bump_version();
  return model;
}

// softmax(q k^T / sqrt(H)) v over all tokens of a message, before and behind.
Tensor IntentEncoder::attention(const Layer& w, const Tensor& x_TD, const Masks& m) const {
  const model::ModelConfig& c = model_->config();
  const int64_t n = c.num_attention_heads, k = c.num_key_value_heads, h = c.head_dim;
  const auto heads = [&](const Tensor& weight, const Tensor& bias, int64_t count, bool turned) {
    Tensor y = ops::linear(x_TD, weight, bias).view({-1, count, h});
    if (turned) y = ops::rotary(y, rotary_, m.positions_T);
    return y.view({m.messages, m.longest, count, h}).transpose(1, 2);
  };
  const Tensor q_BNLH = heads(w.q, w.q_bias, n, true);
  const Tensor k_BNLH = heads(w.k, w.k_bias, k, true).repeat_interleave(n / k, 1);
  const Tensor v_BNLH = heads(w.v, w.v_bias, k, false).repeat_interleave(n / k, 1);
  Tensor scores_BNLL = aten::matmul(q_BNLH, k_BNLH.transpose(2, 3)) * (1 / std::sqrt(double(h)));
  if (m.padding_B11L.defined()) scores_BNLL = scores_BNLL.masked_fill(m.padding_B11L, -std::numeric_limits<float>::infinity());
  const Tensor a_BNLH = aten::matmul(aten::softmax(scores_BNLL, -1), v_BNLH);
  return ops::linear(a_BNLH.transpose(1, 2).reshape({-1, n * h}), w.o);
}

Tensor IntentEncoder::operator()(const MessageBatch& batch, const Noise& noise) const {
  const double eps = model_->config().rms_norm_eps;
  const at::Device device = model_->device();
  Masks m;
  m.messages = batch.ids_BL.size(0), m.longest = batch.ids_BL.size(1);
  check(m.longest <= rotary_.positions(), "[intent] expected messages of at most ", rotary_.positions(), " tokens, got ", m.longest);
  m.positions_T = aten::arange(m.longest, at::TensorOptions().dtype(at::kInt).device(device)).repeat({m.messages});
  const Tensor lengths_B1 = aten::tensor(batch.lengths, at::kLong).to(device).view({-1, 1});
  m.lengths_B1 = lengths_B1.to(at::kFloat);
  if (*std::min_element(batch.lengths.begin(), batch.lengths.end()) < m.longest) {
    const Tensor padding_BL = aten::arange(m.longest, at::TensorOptions().dtype(at::kLong).device(device)).unsqueeze(0) >= lengths_B1;
    m.padding_B11L = padding_BL.view({m.messages, 1, 1, m.longest});
    m.present_BL1 = padding_BL.logical_not().to(at::kFloat).unsqueeze(2);
  }
  // On a GPU the op's definition takes a hundred steps of its own: there one call makes the masks of all uses.
  const bool masked = noise.dropout > 0 && device.is_cuda();
  const int64_t uses = 2 * int64_t(layers_.size()) + 1;
  const Tensor masks_UTD =
      masked ? ops::dropout_mask_ref({uses, m.messages * m.longest, norm_D_.size(0)}, device, noise.dropout, noise.seed, 0) : Tensor();
  int64_t use = 0;
  const auto drop = [&](const Tensor& t) {
    const int64_t u = use++;
    return masked ? t * masks_UTD.select(0, u) : ops::dropout(t, noise.dropout, noise.seed, uint64_t(u));
  };
  Tensor x_TD = drop(ops::embedding(batch.ids_BL.reshape({-1}), embedding_VD_));
  for (const Layer& w : layers_) {
    x_TD = x_TD + drop(attention(w, ops::rms_norm(x_TD, w.attention_norm, eps), m));
    const Tensor h_TD = ops::rms_norm(x_TD, w.mlp_norm, eps);
    x_TD = x_TD + drop(ops::linear(ops::swiglu(ops::linear(h_TD, w.gate), ops::linear(h_TD, w.up)), w.down));
  }
  Tensor x_BLD = ops::rms_norm(x_TD, norm_D_, eps).view({m.messages, m.longest, -1});
  if (m.present_BL1.defined()) x_BLD = x_BLD * m.present_BL1;
  return x_BLD.sum(1) / m.lengths_B1;
}

}  // namespace r1::serve
