#include "r1/model/presets_made.h"

#include "r1/model/families.h"

namespace r1::model {

namespace {

void set_sizes(ModelConfig& c, int64_t vocab, int64_t hidden, int64_t ffn, int64_t layers, int64_t heads, int64_t context) {
  c.vocab_size = vocab;
  c.hidden_size = hidden;
  c.intermediate_size = ffn;
  c.num_hidden_layers = layers;
  c.num_attention_heads = heads;
  c.max_position_embeddings = context;
}

ModelConfig finished(ModelConfig c) {
  finish_config(c);
  return c;
}

// Latent attention with DeepSeek's rotary pairs.
void set_mla(ModelConfig& c, MlaConfig mla) {
  c.attention = "mla";
  c.rope_interleaved = true;
  c.mla = mla;
}

// The base of R1 (arXiv 2412.19437, section 4.2; config.json of DeepSeek-V3 and R1).
ModelConfig deepseek_v3() {
  ModelConfig c;
  set_sizes(c, 129280, 7168, 18432, 61, 128, 163840);
  set_family(c, "deepseek_v3");
  set_mla(c, {.q_lora_rank = 1536, .kv_lora_rank = 512, .qk_nope_head_dim = 128, .qk_rope_head_dim = 64, .v_head_dim = 128});
  c.rope = {.type = "yarn",
            .factor = 40,
            .original_max_position_embeddings = 4096,
            .beta_fast = 32,
            .beta_slow = 1,
            .mscale = 1,
            .mscale_all_dim = 1};
  c.moe.n_routed_experts = 256;
  c.moe.n_shared_experts = 1;
  c.moe.num_experts_per_tok = 8;
  c.moe.moe_intermediate_size = 2048;
  c.moe.first_k_dense_replace = 3;
  c.moe.n_group = 8;
  c.moe.topk_group = 4;
  c.moe.routed_scaling_factor = 2.5;
  c.moe.aux_loss_coef = 1e-4;
  c.num_nextn_predict_layers = 1;
  c.bos_token_id = 0;
  c.eos_token_id = 1;
  c.torch_dtype = "bfloat16";
  return finished(c);
}

// Its small sibling of the generation before (arXiv 2405.04434, appendix B): no query latent, softmax router without groups.
ModelConfig deepseek_v2_lite() {
  ModelConfig c;
  set_sizes(c, 102400, 2048, 10944, 27, 16, 163840);
  set_family(c, "deepseek_v2");
  set_mla(c, {.q_lora_rank = 0, .kv_lora_rank = 512, .qk_nope_head_dim = 128, .qk_rope_head_dim = 64, .v_head_dim = 128});
  c.rope = {.type = "yarn",
            .factor = 40,
            .original_max_position_embeddings = 4096,
            .beta_fast = 32,
            .beta_slow = 1,
            .mscale = 0.707,
            .mscale_all_dim = 0.707};
  c.moe.n_routed_experts = 64;
  c.moe.n_shared_experts = 2;
  c.moe.num_experts_per_tok = 6;
  c.moe.moe_intermediate_size = 1408;
  c.moe.first_k_dense_replace = 1;
  c.moe.gate = "softmax";
  c.moe.group_score = "max";
  c.moe.norm_topk_prob = false;
  c.moe.bias = false;
  c.moe.aux_loss_coef = 1e-3;
  c.bos_token_id = 100000;
  c.eos_token_id = 100001;
  c.torch_dtype = "bfloat16";
  return finished(c);
}

// All of V3's parts at a size that a CPU trains in minutes.
ModelConfig tiny_v3() {
  ModelConfig c;
  set_sizes(c, 512, 128, 352, 4, 4, 1024);
  set_family(c, "deepseek_v3");
  set_mla(c, {.q_lora_rank = 64, .kv_lora_rank = 32, .qk_nope_head_dim = 16, .qk_rope_head_dim = 16, .v_head_dim = 32});
  c.moe.n_routed_experts = 16;
  c.moe.n_shared_experts = 1;
  c.moe.num_experts_per_tok = 4;
  c.moe.moe_intermediate_size = 64;
  c.moe.first_k_dense_replace = 1;
  c.moe.n_group = 4;
  c.moe.topk_group = 2;
  c.moe.routed_scaling_factor = 1;
  c.moe.aux_loss_coef = 1e-4;
  c.num_nextn_predict_layers = 1;
  return finished(c);
}

// Qwen3's mixtures of experts (arXiv 2505.09388, table 2): 128 experts, 8 a token.
ModelConfig qwen3_moe(int64_t hidden, int64_t ffn, int64_t layers, int64_t heads, int64_t expert) {
  ModelConfig c;
  set_sizes(c, 151936, hidden, ffn, layers, heads, 40960);
  set_family(c, "qwen3_moe");
  c.num_key_value_heads = 4;
  c.head_dim = 128;
  c.rope_theta = 1e6;
  c.moe.n_routed_experts = 128;
  c.moe.num_experts_per_tok = 8;
  c.moe.moe_intermediate_size = expert;
  c.bos_token_id = 151643;
  c.eos_token_id = 151645;
  c.torch_dtype = "bfloat16";
  return finished(c);
}
ModelConfig qwen3_30b_a3b() {
  return qwen3_moe(2048, 6144, 48, 32, 768);
}
ModelConfig qwen3_235b_a22b() {
  return qwen3_moe(4096, 12288, 94, 64, 1536);
}

ModelConfig tiny_test_qwen3_moe() {
  ModelConfig c;
  set_sizes(c, 512, 64, 176, 2, 4, 512);
  set_family(c, "qwen3_moe");
  c.num_key_value_heads = 2;
  c.head_dim = 32;
  c.moe.n_routed_experts = 8;
  c.moe.num_experts_per_tok = 2;
  c.moe.moe_intermediate_size = 32;
  return finished(c);
}

}  // namespace

const std::vector<MadePreset>& made_presets() {
  static const std::vector<MadePreset> presets{{"tiny-test-qwen3-moe", tiny_test_qwen3_moe},
                                               {"tiny-v3", tiny_v3},
                                               {"qwen3-30b-a3b", qwen3_30b_a3b},
                                               {"qwen3-235b-a22b", qwen3_235b_a22b},
                                               {"deepseek-v2-lite", deepseek_v2_lite},
                                               {"deepseek-v3", deepseek_v3}};
  return presets;
}

}  // namespace r1::model
