#include "r1/model/layers.h"

#include <cmath>

#include "r1/base/error.h"
#include "r1/model/families.h"
#include "r1/nn/blockwise.h"
#include "r1/nn/dynamic_window.h"
#include "r1/nn/gqa.h"
#include "r1/nn/hybrid.h"
#include "r1/nn/lsh.h"
#include "r1/nn/mla.h"
#include "r1/nn/mlp.h"
#include "r1/nn/moe.h"
#include "r1/nn/power_norm.h"
#include "r1/nn/sparse_mlp.h"

namespace r1::model {

namespace {

ops::RotaryScaling rotary_scaling(const RopeScaling& rope) {
  ops::RotaryScaling scaling;
  scaling.kind = rope.type == "llama3"   ? ops::RotaryScaling::kLlama3
                 : rope.type == "linear" ? ops::RotaryScaling::kLinear
                 : rope.type == "yarn"   ? ops::RotaryScaling::kYarn
                                         : ops::RotaryScaling::kNone;
  scaling.factor = rope.factor;
  scaling.low_freq_factor = rope.low_freq_factor;
  scaling.high_freq_factor = rope.high_freq_factor;
  scaling.original_max_positions = double(rope.original_max_position_embeddings);
  scaling.beta_fast = rope.beta_fast;
  scaling.beta_slow = rope.beta_slow;
  return scaling;
}

// YaRN's factor of the rotated vectors.
double rotary_magnitude(const RopeScaling& rope) {
  if (rope.type != "yarn") return 1;
  if (rope.attention_factor != 0) return rope.attention_factor;
  if (rope.mscale == 0 || rope.mscale_all_dim == 0) return ops::yarn_mscale(rope.factor, 1);
  return ops::yarn_mscale(rope.factor, rope.mscale) / ops::yarn_mscale(rope.factor, rope.mscale_all_dim);
}

nn::MlaShape mla_shape(const ModelConfig& c) {
  nn::MlaShape shape;
  shape.dim = c.hidden_size;
  shape.heads = c.num_attention_heads;
  shape.q_lora = c.mla.q_lora_rank;
  shape.kv_lora = c.mla.kv_lora_rank;
  shape.nope = c.mla.qk_nope_head_dim;
  shape.rope = c.mla.qk_rope_head_dim;
  shape.v = c.mla.v_head_dim;
  shape.bias = c.attention_bias;
  const double m = c.rope.type == "yarn" && c.rope.mscale_all_dim != 0 ? ops::yarn_mscale(c.rope.factor, c.rope.mscale_all_dim) : 1;
  shape.scale = m * m / std::sqrt(double(shape.head()));
  return shape;
}

nn::GqaShape gqa_shape(const ModelConfig& c) {
  const Family& family = family_of(c.family);
  nn::GqaShape shape;
  shape.dim = c.hidden_size;
  shape.heads = c.num_attention_heads;
  shape.kv_heads = c.num_key_value_heads;
  shape.head_dim = c.head_dim;
  shape.qkv_bias = c.attention_bias;
  shape.output_bias = c.attention_bias && family.output_bias;
  shape.qk_norm = c.qk_norm;
  shape.norm_eps = c.rms_norm_eps;
  shape.norm_offset = family.norm_offset;
  shape.fused_qkv = family.fused_qkv;
  shape.scale = c.attn.scale;
  return shape;
}

nn::MlpShape::Activation activation_of(const std::string& ffn) {
  if (ffn == "swiglu") return nn::MlpShape::kSwiGlu;
  if (ffn == "geglu") return nn::MlpShape::kGeGlu;
  if (ffn == "gelu") return nn::MlpShape::kGelu;
  if (ffn == "norm_gelu") return nn::MlpShape::kNormGelu;
  fail_usage("model config: ffn '", ffn, "' is not built in");
}

nn::MoeShape moe_shape(const ModelConfig& c) {
  const MoeConfig& m = c.moe;
  nn::MoeShape shape;
  shape.inner = m.moe_intermediate_size;
  shape.shared_inner = m.n_shared_experts * m.moe_intermediate_size;
  nn::RouterShape& r = shape.router;
  r.dim = c.hidden_size;
  r.experts = m.n_routed_experts;
  r.route.softmax = m.gate == "softmax";
  r.route.per_token = m.num_experts_per_tok;
  r.route.groups = m.n_group;
  r.route.groups_kept = m.topk_group;
  r.route.group_by_max = m.group_score == "max";
  r.route.normalised = m.norm_topk_prob;
  r.route.scale = m.routed_scaling_factor;
  r.context = m.gate == "context_sigmoid";
  r.bias = m.bias;
  r.bias_update_speed = m.bias_update_speed;
  r.balance = m.aux_loss == "sequence" ? ops::Balance::kSequence : m.aux_loss == "batch" ? ops::Balance::kBatch : ops::Balance::kSquare;
  r.balance_weight = m.aux_loss_coef;
  return shape;
}

// The directions of layer i's hash are drawn from this + i: part of what a checkpoint means.
constexpr uint64_t kLshSeed = 0x6C7368;

ops::LshShape lsh_shape(const ModelConfig& c) {
  ops::LshShape shape;
  shape.rounds = c.attn.hash_rounds;
  shape.bucket = c.attn.bucket_size;
  shape.window = c.attn.window;
  shape.bits = ops::lsh_bits(c.max_position_embeddings, shape.bucket);
  return shape;
}

}  // namespace

std::shared_ptr<const ops::RotaryTable> LayerFactory::rotary(int64_t head_dim, double theta, bool scaled) {
  auto& table = rotary_[{head_dim, theta, scaled}];
  if (!table) {
    const std::vector<float> frequencies =
        ops::rotary_frequencies(head_dim, theta, scaled ? rotary_scaling(config_.rope) : ops::RotaryScaling());
    table = std::make_shared<ops::RotaryTable>(
        ops::rotary_table(frequencies, 0, placement_.device, config_.rope_interleaved, scaled ? rotary_magnitude(config_.rope) : 1));
  }
  return table;
}

std::vector<std::shared_ptr<ops::RotaryTable>> LayerFactory::rotary_tables() const {
  std::vector<std::shared_ptr<ops::RotaryTable>> tables;
  for (const auto& [key, table] : rotary_) tables.push_back(table);
  return tables;
}

std::unique_ptr<nn::Norm> LayerFactory::norm(const std::string& name) const {
  const int64_t dim = config_.hidden_size;
  const double eps = config_.rms_norm_eps;
  if (config_.norm == "rms") return std::make_unique<nn::RmsNorm>(dim, eps, placement_, family_of(config_.family).norm_offset);
  if (config_.norm == "layer") return std::make_unique<nn::LayerNorm>(dim, eps, placement_);
  if (config_.norm == "power") return std::make_unique<nn::PowerNorm>(name, dim, eps, placement_);
  if (config_.norm == "none") return std::make_unique<nn::NoNorm>();
  fail_usage("model config: norm '", config_.norm, "' is not built in");
}

std::unique_ptr<nn::AttentionLayer> LayerFactory::attention(int64_t layer) {
  nn::GqaShape shape = gqa_shape(config_);
  shape.kv_copies = kv_copies_;
  if (config_.attention == "full") {
    const bool local = config_.windowed_layer(layer), own_rope = local && config_.attn.window_pattern > 0;
    shape.window = local ? config_.attn.window : 0;
    const double theta = own_rope ? config_.attn.local_rope_theta : config_.rope_theta;
    const auto table = config_.positions == "rope" ? rotary(config_.head_dim, theta, !own_rope) : nullptr;
    return std::make_unique<nn::Gqa>(shape, table, placement_);
  }
  if (config_.attention == "mla")
    return std::make_unique<nn::Mla>(mla_shape(config_), rotary(config_.mla.qk_rope_head_dim, config_.rope_theta), placement_);
  if (config_.attention == "dynamic_window") {
    shape.window = config_.attn.window;
    return std::make_unique<nn::DynamicWindow>(shape, placement_);
  }
  if (config_.attention == "blockwise") {
    const auto table = config_.positions == "rope" ? rotary(config_.head_dim, config_.rope_theta) : nullptr;
    return std::make_unique<nn::Blockwise>(shape, table, config_.attn.block, placement_);
  }
  if (config_.attention == "hybrid")
    return std::make_unique<nn::Hybrid>(shape, rotary(config_.head_dim, config_.rope_theta),
                                        ops::Window(config_.attn.window, config_.attn.window_max), placement_);
  if (config_.attention == "lsh")
    return std::make_unique<nn::Lsh>(shape, rotary(config_.head_dim, config_.rope_theta), lsh_shape(config_), kLshSeed + uint64_t(layer),
                                     placement_);
  fail_usage("model config: attention '", config_.attention, "' is not built in");
}

std::unique_ptr<nn::FeedForward> LayerFactory::dense_feed_forward(int64_t layer) const {
  const ModelConfig& c = config_;
  if (c.ffn == "topk_sparse") {
    const SparseConfig& s = c.sparse;
    return std::make_unique<nn::SparseMlp>(nn::SparseMlpShape{.dim = c.hidden_size,
                                                              .inner = c.intermediate_size,
                                                              .sparsity = s.sparsity,
                                                              .min_sparsity = s.min_sparsity,
                                                              .max_sparsity = s.max_sparsity,
                                                              .target_grad_norm = s.target_grad_norm,
                                                              .speed = s.speed,
                                                              .dropout = c.ffn_dropout,
                                                              .layer = uint64_t(layer)},
                                           placement_);
  }
  return std::make_unique<nn::Mlp>(nn::MlpShape{.activation = activation_of(c.ffn),
                                                .dim = c.hidden_size,
                                                .inner = c.intermediate_size,
                                                .bias = c.mlp_bias,
                                                .dropout = c.ffn_dropout,
                                                .norm_eps = c.rms_norm_eps,
                                                .layer = uint64_t(layer)},
                                   placement_);
}

std::unique_ptr<nn::FeedForward> LayerFactory::feed_forward(int64_t layer) const {
  if (config_.moe_layer(layer)) return std::make_unique<nn::Moe>(str("layers.", layer, ".mlp"), moe_shape(config_), placement_);
  return dense_feed_forward(layer);
}

nn::MtpParts LayerFactory::mtp(int64_t layer) {
  const auto norm_called = [&](const char* which) { return norm(str("layers.", layer, ".", which)); };
  return {.embedding_norm = norm_called("enorm"),
          .hidden_norm = norm_called("hnorm"),
          .head_norm = norm_called("shared_head_norm"),
          .block = block(layer)};
}
nn::BlockParts LayerFactory::block(int64_t layer) {
  nn::BlockParts parts;
  const auto norm_called = [&](const char* which) { return norm(str("layers.", layer, ".", which)); };
  parts.attention_norm = norm_called("attention_norm");
  parts.attention = attention(layer);
  parts.mlp_norm = norm_called("mlp_norm");
  parts.mlp = feed_forward(layer);
  // Whose rows know nothing of each other: not experts, which count their tokens, nor dropout, which counts its elements.
  const bool plain = !config_.moe_layer(layer) && config_.ffn != "topk_sparse" && config_.ffn_dropout == 0;
  if (config_.attention == "blockwise" && plain)
    parts.mlp = std::make_unique<nn::BlockwiseFeedForward>(std::move(parts.mlp), config_.attn.block);
  if (config_.post_norms) {
    parts.attention_post_norm = norm_called("attention_post_norm");
    parts.mlp_post_norm = norm_called("mlp_post_norm");
  }
  return parts;
}

}  // namespace r1::model
