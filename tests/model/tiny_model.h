// Small models and packed batches for this folder's tests.
#pragma once

#include <string>
#include <vector>

#include "r1/base/rng.h"
#include "r1/model/families.h"
#include "r1/model/transformer.h"
#include "r1/tensor/aten.h"

namespace r1::model {

inline ModelConfig tiny(const std::string& family = "llama") {
  ModelConfig c;
  c.family = family;
  c.vocab_size = 61;
  c.hidden_size = 48;
  c.intermediate_size = 80;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 6;
  c.num_key_value_heads = 2;
  c.head_dim = family.rfind("qwen3", 0) == 0 ? 16 : 8;
  c.max_position_embeddings = 256;
  c.initializer_range = 0.2;
  if (family.rfind("deepseek", 0) == 0) {
    c.attention = "mla";
    c.rope_interleaved = true;
    c.mla = {.q_lora_rank = 20, .kv_lora_rank = 16, .qk_nope_head_dim = 8, .qk_rope_head_dim = 8, .v_head_dim = 12};
    c.num_key_value_heads = c.head_dim = 0;
    c.moe = {
        .n_routed_experts = 8, .n_shared_experts = 1, .num_experts_per_tok = 3, .moe_intermediate_size = 20, .first_k_dense_replace = 1};
    if (family == "deepseek_v3") c.moe.n_group = 4, c.moe.topk_group = 2, c.moe.routed_scaling_factor = 2.5;
    if (family == "deepseek_v2") c.moe.gate = "softmax", c.moe.group_score = "max", c.moe.norm_topk_prob = c.moe.bias = false;
  }
  if (family == "qwen3_moe") {
    c.moe = {.n_routed_experts = 8, .num_experts_per_tok = 3, .moe_intermediate_size = 24};
    c.moe.gate = "softmax";
    c.moe.bias = false;
    c.moe.aux_loss = "batch";
  }
  if (family == "gpt2" || family == "gemma3_text") set_family(c, family);
  if (family == "gpt2") c.num_key_value_heads = c.num_attention_heads;
  if (family == "gemma3_text") {
    c.attn.window = 7;
    c.attn.window_pattern = 2;
  }
  return c;
}

// DeepSeek-V3's experts after one dense layer: groups, a shared expert, a bias in the choice; scores may see the context.
inline ModelConfig tiny_experts(const std::string& gate = "sigmoid", const std::string& family = "deepseek_v3") {
  ModelConfig c = tiny(family);
  c.num_hidden_layers = 3;
  c.moe = {.n_routed_experts = 8, .n_shared_experts = 1, .num_experts_per_tok = 3, .moe_intermediate_size = 24, .first_k_dense_replace = 1};
  c.moe.n_group = 4;
  c.moe.topk_group = 2;
  c.moe.gate = gate;
  c.moe.routed_scaling_factor = 2.5;
  return c;
}

// The training form of sequences of these lengths.
inline nn::LayerContext packed(const std::vector<int32_t>& lengths, at::Device device = at::kCPU) {
  return {ops::sequences_of(device, lengths)};
}

inline Tensor random_ids(int64_t tokens, int64_t vocab, uint64_t seed) {
  Rng rng(seed);
  std::vector<int64_t> ids(tokens);
  for (int64_t& id : ids) id = rng.between(0, vocab - 1);
  return aten::tensor(ids, at::kLong);
}

}  // namespace r1::model
