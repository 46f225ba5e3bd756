#include "r1/model/layers.h"

#include "r1/base/error.h"
#include "r1/nn/blockwise.h"
#include "r1/nn/dynamic_window.h"
#include "r1/nn/gqa.h"
#include "r1/nn/hybrid.h"
#include "r1/nn/lsh.h"
#include "r1/nn/mlp.h"

namespace r1::model {

namespace {

ops::RotaryScaling rotary_scaling(const RopeScaling& rope) {
  ops::RotaryScaling scaling;
  scaling.kind = rope.type == "llama3"   ? ops::RotaryScaling::kLlama3
                 : rope.type == "linear" ? ops::RotaryScaling::kLinear
                                         : ops::RotaryScaling::kNone;
  scaling.factor = rope.factor;
  scaling.low_freq_factor = rope.low_freq_factor;
  scaling.high_freq_factor = rope.high_freq_factor;
  scaling.original_max_positions = double(rope.original_max_position_embeddings);
  return scaling;
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
  shape.scale = c.attn.scale;
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
    table = std::make_shared<ops::RotaryTable>(ops::rotary_table(frequencies, config_.max_position_embeddings, placement_.device));
  }
  return table;
}

std::unique_ptr<nn::Norm> LayerFactory::norm() const {
  if (config_.norm == "rms") return std::make_unique<nn::RmsNorm>(config_.hidden_size, config_.rms_norm_eps, placement_);
  fail_usage("model config: norm '", config_.norm, "' is not built in");
}

std::unique_ptr<nn::AttentionLayer> LayerFactory::attention(int64_t layer) {
  nn::GqaShape shape = gqa_shape(config_);
  if (config_.attention == "full") {
    const bool local = config_.windowed_layer(layer), own_rope = local && config_.attn.window_pattern > 0;
    shape.window = local ? config_.attn.window : 0;
    const double theta = own_rope ? config_.attn.local_rope_theta : config_.rope_theta;
    return std::make_unique<nn::Gqa>(shape, rotary(config_.head_dim, theta, !own_rope), placement_);
  }
  if (config_.attention == "dynamic_window") {
    shape.window = config_.attn.window;
    return std::make_unique<nn::DynamicWindow>(shape, placement_);
  }
  if (config_.attention == "blockwise")
    return std::make_unique<nn::Blockwise>(shape, rotary(config_.head_dim, config_.rope_theta), config_.attn.block, placement_);
  if (config_.attention == "hybrid")
    return std::make_unique<nn::Hybrid>(shape, rotary(config_.head_dim, config_.rope_theta),
                                        ops::Window(config_.attn.window, config_.attn.window_max), placement_);
  if (config_.attention == "lsh")
    return std::make_unique<nn::Lsh>(shape, rotary(config_.head_dim, config_.rope_theta), lsh_shape(config_), kLshSeed + uint64_t(layer),
                                     placement_);
  fail_usage("model config: attention '", config_.attention, "' is not built in");
}

std::unique_ptr<nn::FeedForward> LayerFactory::feed_forward(int64_t layer) const {
  if (!config_.moe_layer(layer) && config_.ffn == "swiglu")
    return std::make_unique<nn::Mlp>(config_.hidden_size, config_.intermediate_size, placement_);
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
  // Whose rows know nothing of each other: not experts, which count their tokens, nor dropout, which counts its elements.
  const bool plain = !config_.moe_layer(layer) && config_.ffn != "topk_sparse" && config_.ffn_dropout == 0;
  if (config_.attention == "blockwise" && plain)
    parts.mlp = std::make_unique<nn::BlockwiseFeedForward>(std::move(parts.mlp), config_.attn.block);
  if (config_.post_norms) {
    parts.attention_post_norm = norm();
    parts.mlp_post_norm = norm();
  }
  return parts;
}

}  // namespace r1::model
