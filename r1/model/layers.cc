#include "r1/model/layers.h"

#include <cmath>

#include "r1/base/error.h"
#include "r1/nn/gqa.h"
#include "r1/nn/mla.h"
#include "r1/nn/mlp.h"
#include "r1/nn/moe.h"

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

}  // namespace

std::shared_ptr<const ops::RotaryTable> LayerFactory::rotary(int64_t head_dim, double theta) {
  auto& table = rotary_[{head_dim, theta}];
  if (!table) {
    const std::vector<float> frequencies = ops::rotary_frequencies(head_dim, theta, rotary_scaling(config_.rope));
    table = std::make_shared<ops::RotaryTable>(ops::rotary_table(frequencies, config_.max_position_embeddings, placement_.device,
                                                                 config_.rope_interleaved, rotary_magnitude(config_.rope)));
  }
  return table;
}

std::unique_ptr<nn::Norm> LayerFactory::norm() const {
  if (config_.norm == "rms") return std::make_unique<nn::RmsNorm>(config_.hidden_size, config_.rms_norm_eps, placement_);
  fail_usage("model config: norm '", config_.norm, "' is not built in");
}

std::unique_ptr<nn::AttentionLayer> LayerFactory::attention(int64_t) {
  if (config_.attention == "full")
    return std::make_unique<nn::Gqa>(gqa_shape(config_), rotary(config_.head_dim, config_.rope_theta), placement_);
  if (config_.attention == "mla")
    return std::make_unique<nn::Mla>(mla_shape(config_), rotary(config_.mla.qk_rope_head_dim, config_.rope_theta), placement_);
  fail_usage("model config: attention '", config_.attention, "' is not built in");
}

std::unique_ptr<nn::FeedForward> LayerFactory::feed_forward(int64_t layer) const {
  if (config_.moe_layer(layer)) return std::make_unique<nn::Moe>(str("layers.", layer, ".mlp"), moe_shape(config_), placement_);
  if (config_.ffn == "swiglu") return std::make_unique<nn::Mlp>(config_.hidden_size, config_.intermediate_size, placement_);
  fail_usage("model config: ffn '", config_.ffn, "' is not built in");
}

nn::MtpParts LayerFactory::mtp(int64_t layer) {
  return {.embedding_norm = norm(), .hidden_norm = norm(), .head_norm = norm(), .block = block(layer)};
}

nn::BlockParts LayerFactory::block(int64_t layer) {
  nn::BlockParts parts;
  parts.attention_norm = norm();
  parts.attention = attention(layer);
  parts.mlp_norm = norm();
  parts.mlp = feed_forward(layer);
  if (config_.post_norms) {
    parts.attention_post_norm = norm();
    parts.mlp_post_norm = norm();
  }
  return parts;
}

}  // namespace r1::model
