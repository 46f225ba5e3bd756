// What a config leaves open is filled in, and what makes no sense together is refused; the reasons are for the one who wrote it.
#include "r1/base/error.h"
#include "r1/model/config.h"
#include "r1/model/families.h"

namespace r1::model {

namespace {

// Fills the variant's default window; refuses what a variant of attention cannot be combined with.
void finish_attention(ModelConfig& c) {
  AttentionConfig& a = c.attn;
  if (a.window == 0) a.window = c.attention == "hybrid" ? 256 : c.attention == "dynamic_window" ? 512 : c.attention == "lsh" ? 1 : 0;
  const bool rotates = c.attention == "hybrid" || c.attention == "lsh";
  if (rotates && c.positions != "rope")
    fail_usage("model config: attention ", c.attention, " is made of rotated queries and keys: positions must be rope, not ", c.positions);
  if (c.attention == "dynamic_window" && (c.positions != "rope" || c.rope.type != "none"))
    fail_usage("model config: attention dynamic_window has a learned bias of the distance and nothing that positions ", c.positions,
               " or rope_scaling ", c.rope.type, " could act on");
  if (c.attention == "hybrid" && a.window > a.window_max)
    fail_usage("model config: attn.window ", a.window, " exceeds attn.window_max ", a.window_max, ", up to which it grows");
  if ((c.attention == "blockwise" || c.attention == "mla") && a.window > 0)
    fail_usage("model config: attention ", c.attention, " sees everything, attn.window ", a.window,
               " belongs to full, hybrid, lsh or dynamic_window");
  if (a.window_pattern > 0 && c.attention != "full")
    fail_usage("model config: attn.window_pattern mixes windowed and full layers, it belongs to attention full, not ", c.attention);
  if (a.window_pattern > 0 && a.window == 0)
    fail_usage("model config: attn.window_pattern ", a.window_pattern, " needs attn.window, the tokens that the windowed layers see");
}

// What stands in a block must make sense together; the reasons are for the one who wrote the config.
void check_norm_and_positions(const ModelConfig& c) {
  if (family_of(c.family).norm_offset != 0 && c.norm != "rms")
    fail_usage("model config: family ", c.family, " stores its norms as a distance from 1, which norm ", c.norm,
               " does not: use family llama");
  if (c.positions == "learned" && c.rope.type != "none")
    fail_usage("model config: rope_scaling stretches rotary positions, but positions are learned");
  if (c.positions == "learned" && c.attention == "mla")
    fail_usage("model config: attention mla has a rotary key, but positions are learned");
  if (c.num_nextn_predict_layers > 0 && (c.norm != "rms" || c.positions != "rope"))
    fail_usage("model config: multi-token prediction (num_nextn_predict_layers ", c.num_nextn_predict_layers,
               ") has RMSNorm and rotary positions, not norm ", c.norm, " and positions ", c.positions);
  if (!(c.embedding_scale > 0)) fail_usage("model config: embedding_scale 0 would wipe out the embedding");
  if (c.attn.window_pattern == 1) fail_usage("model config: attn.window_pattern 1 leaves no layer with a window: set attn.window to 0");
}

void check_ffn(const ModelConfig& c) {
  if (c.ffn == "norm_gelu" && family_of(c.family).norm_offset != 0)
    fail_usage("model config: family ", c.family,
               " stores its norms as a distance from 1, which the one inside ffn norm_gelu does not: use family"
               " llama");
  if (c.ffn != "topk_sparse") return;
  const SparseConfig& s = c.sparse;
  if (c.mlp_bias) fail_usage("model config: ffn topk_sparse has no biases: a neuron that is off must add nothing");
  if (c.moe.n_routed_experts > 0) fail_usage("model config: ffn topk_sparse beside experts: a mixture is sparse already");
  if (!(s.min_sparsity <= s.sparsity && s.sparsity <= s.max_sparsity))
    fail_usage("model config: sparse.sparsity ", s.sparsity, " must lie in [sparse.min_sparsity, sparse.max_sparsity] = [", s.min_sparsity,
               ", ", s.max_sparsity, "]");
}

// Attention mla: fills head_dim and num_key_value_heads.
void finish_mla(ModelConfig& c) {
  if (family_of(c.family).latent_attention && c.attention == "full") c.attention = "mla";
  const MlaConfig& m = c.mla;
  if (c.attention != "mla") {
    if (m.kv_lora_rank || m.q_lora_rank || m.qk_nope_head_dim || m.qk_rope_head_dim || m.v_head_dim)
      fail_usage("model config: mla.* belongs to attention mla, not ", c.attention);
    return;
  }
  const std::pair<const char*, int64_t> sizes[] = {{"kv_lora_rank", m.kv_lora_rank},
                                                   {"qk_nope_head_dim", m.qk_nope_head_dim},
                                                   {"qk_rope_head_dim", m.qk_rope_head_dim},
                                                   {"v_head_dim", m.v_head_dim}};
  for (const auto& [key, size] : sizes) {
    if (size <= 0) fail_usage("model config: attention mla needs mla.", key, " above 0, got ", size);
  }
  if (m.q_lora_rank < 0) fail_usage("model config: mla.q_lora_rank must not be negative, got ", m.q_lora_rank);
  if (m.qk_rope_head_dim % 2 != 0) fail_usage("model config: mla.qk_rope_head_dim must be even, got ", m.qk_rope_head_dim);
  const int64_t head = m.qk_nope_head_dim + m.qk_rope_head_dim;
  if (c.head_dim != 0 && c.head_dim != head)
    fail_usage("model config: under attention mla head_dim is qk_nope_head_dim + qk_rope_head_dim = ", head, ", got ", c.head_dim);
  c.head_dim = head;
  if (c.num_key_value_heads != 0 && c.num_key_value_heads != c.num_attention_heads)
    fail_usage("model config: attention mla has as many key and value heads as query heads (", c.num_attention_heads, "), got ",
               c.num_key_value_heads);
  c.num_key_value_heads = c.num_attention_heads;
  if (c.qk_norm) fail_usage("model config: qk_norm is not built into attention mla, which norms its latents");
  if (c.positions != "rope") fail_usage("model config: attention mla has rotary positions, not ", c.positions);
}

// A router that can choose.
void check_moe(const ModelConfig& c) {
  const MoeConfig& m = c.moe;
  if (m.n_routed_experts == 0) {
    if (m.n_shared_experts > 0) fail_usage("model config: moe.n_shared_experts needs routed experts (moe.n_routed_experts)");
    return;
  }
  if (m.moe_intermediate_size <= 0) fail_usage("model config: moe.moe_intermediate_size must be positive, got ", m.moe_intermediate_size);
  if (m.num_experts_per_tok < 1 || m.num_experts_per_tok > m.n_routed_experts)
    fail_usage("model config: moe.num_experts_per_tok must be 1 to n_routed_experts = ", m.n_routed_experts, ", got ",
               m.num_experts_per_tok);
  if (m.n_group < 1 || m.n_routed_experts % m.n_group != 0)
    fail_usage("model config: moe.n_group ", m.n_group, " does not divide n_routed_experts ", m.n_routed_experts);
  if (m.topk_group < 1 || m.topk_group > m.n_group)
    fail_usage("model config: moe.topk_group must be 1 to n_group = ", m.n_group, ", got ", m.topk_group);
  if (c.num_hidden_layers * m.n_routed_experts > 1'000'000)
    fail_usage("model config: ", c.num_hidden_layers, " layers of ", m.n_routed_experts, " experts are more than a million");
  const int64_t of_group = m.n_routed_experts / m.n_group;
  if (m.num_experts_per_tok > m.topk_group * of_group)
    fail_usage("model config: ", m.num_experts_per_tok, " experts a token cannot come from topk_group = ", m.topk_group, " groups of ",
               of_group);
  if (m.n_group > 1 && m.group_score == "top2" && of_group < 2)
    fail_usage("model config: moe.group_score top2 needs groups of two experts or more, got ", of_group);
}

// Scaling rules that make sense.
void check_rope(const ModelConfig& c) {
  const RopeScaling& s = c.rope;
  if (s.type == "llama3" && s.high_freq_factor <= s.low_freq_factor)
    fail_usage("model config: rope_scaling.high_freq_factor ", s.high_freq_factor, " must exceed low_freq_factor ", s.low_freq_factor);
  if (s.type == "yarn" && s.beta_fast <= s.beta_slow)
    fail_usage("model config: rope_scaling.beta_fast ", s.beta_fast, " must exceed beta_slow ", s.beta_slow);
  if (s.type == "yarn" && s.beta_slow <= 0) fail_usage("model config: rope_scaling.beta_slow must be positive, got ", s.beta_slow);
}

}  // namespace

void finish_config(ModelConfig& c) {
  const Family& family = family_of(c.family);
  const auto positive = [](int64_t value, const char* key) {
    if (value <= 0) fail_usage("model config: ", key, " must be given and positive, got ", value);
  };
  positive(c.vocab_size, "vocab_size");
  positive(c.hidden_size, "hidden_size");
  positive(c.intermediate_size, "intermediate_size");
  positive(c.num_hidden_layers, "num_hidden_layers");
  positive(c.num_attention_heads, "num_attention_heads");
  positive(c.max_position_embeddings, "max_position_embeddings");
  finish_mla(c);
  if (c.num_key_value_heads == 0) c.num_key_value_heads = c.num_attention_heads;
  if (c.head_dim == 0) {
    if (c.hidden_size % c.num_attention_heads != 0) {
      fail_usage("model config: hidden_size ", c.hidden_size, " is not a multiple of num_attention_heads ", c.num_attention_heads,
                 ": give head_dim");
    }
    c.head_dim = c.hidden_size / c.num_attention_heads;
  }
  if (c.num_key_value_heads < 0 || c.num_attention_heads % c.num_key_value_heads != 0) {
    fail_usage("model config: num_key_value_heads ", c.num_key_value_heads, " does not divide num_attention_heads ", c.num_attention_heads);
  }
  if (c.head_dim < 2 || c.head_dim % 2 != 0) fail_usage("model config: head_dim must be even, got ", c.head_dim);
  if (family.always_qkv_bias) c.attention_bias = true;
  if (family.always_qk_norm) c.qk_norm = true;
  if (family.heads_fill_width && c.head_dim * c.num_attention_heads != c.hidden_size) {
    fail_usage("model config: ", c.family, " has head_dim = hidden_size / num_attention_heads, got ", c.head_dim);
  }
  finish_attention(c);
  check_rope(c);
  check_moe(c);
  check_norm_and_positions(c);
  check_ffn(c);
}

}  // namespace r1::model
