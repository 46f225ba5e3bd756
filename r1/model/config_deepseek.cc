// DeepSeek-V2 and V3 (and R1, which is V3): latent attention and experts as config.json spells them. Written down from the published files
// and transformers 5.23. The published V3 code and transformers differ in one thing: where mscale and mscale_all_dim of yarn are unequal,
// the code ignores the one and transformers puts their ratio on the rotated vectors. All published models have them equal; here it is as in
// transformers.
#include "r1/model/config_hf.h"

namespace r1::model {

namespace {

// Of latent attention; q_lora_rank may be null.
constexpr HfNumber<MlaConfig> kMlaSizes[] = {{"kv_lora_rank", &MlaConfig::kv_lora_rank},
                                             {"qk_nope_head_dim", &MlaConfig::qk_nope_head_dim},
                                             {"qk_rope_head_dim", &MlaConfig::qk_rope_head_dim},
                                             {"v_head_dim", &MlaConfig::v_head_dim}};

void read_mla(const HfReader& r, ModelConfig& c) {
  c.attention = "mla";
  if (r.json.find("q_lora_rank") == r.json.end()) r.refuse("key 'q_lora_rank' is missing (null: queries without a latent)");
  c.mla.q_lora_rank = r.get<int64_t>("q_lora_rank", 0);
  read_numbers(r, kMlaSizes, c.mla);
  c.head_dim = 0;  // transformers means the rotated part by it
  c.rope_interleaved = r.get<bool>("rope_interleave", true);
}

void read_experts(const HfReader& r, ModelConfig& c) {
  const bool v3 = c.family == "deepseek_v3";
  MoeConfig& m = c.moe;
  m.n_routed_experts = r.get<int64_t>("n_routed_experts", 0);
  r.only("moe_layer_freq", 1);
  if (m.n_routed_experts == 0) return;
  m.n_shared_experts = r.get<int64_t>("n_shared_experts", 0);
  m.num_experts_per_tok = r.need<int64_t>("num_experts_per_tok");
  m.moe_intermediate_size = r.need<int64_t>("moe_intermediate_size");
  m.first_k_dense_replace = r.get<int64_t>("first_k_dense_replace", 0);
  m.routed_scaling_factor = r.get<double>("routed_scaling_factor", 1);
  m.norm_topk_prob = r.get<bool>("norm_topk_prob", v3);
  m.aux_loss_coef = r.get<double>("aux_loss_alpha", 0);
  m.aux_loss = r.get<bool>("seq_aux", true) ? "sequence" : "batch";
  m.gate = v3 ? "sigmoid" : "softmax";
  m.group_score = v3 ? "top2" : "max";
  m.bias = v3;
  r.only("scoring_func", {m.gate});
  if (v3)
    r.only("topk_method", {"noaux_tc"});
  else
    r.only("topk_method", {"greedy", "group_limited_greedy"});
  // transformers leaves the gates of V2 alone whatever this says; the published code scales them or norms them, never both.
  if (!v3 && m.norm_topk_prob) r.refuse("norm_topk_prob = true is not supported for deepseek_v2");
  if (v3 || r.get<std::string>("topk_method", "greedy") == "group_limited_greedy") {
    m.n_group = r.get<int64_t>("n_group", 1);
    m.topk_group = r.get<int64_t>("topk_group", 1);
  }
}

}  // namespace

bool is_deepseek(const std::string& family) {
  return family == "deepseek_v2" || family == "deepseek_v3";
}

void read_deepseek(const HfReader& r, ModelConfig& c) {
  read_mla(r, c);
  read_experts(r, c);
  c.num_nextn_predict_layers = r.get<int64_t>("num_nextn_predict_layers", 0);
}

void write_deepseek(const ModelConfig& c, Json& j) {
  const bool v3 = c.family == "deepseek_v3";
  const MoeConfig& m = c.moe;
  j["q_lora_rank"] = c.mla.q_lora_rank ? Json(c.mla.q_lora_rank) : Json(nullptr);
  write_numbers(c.mla, kMlaSizes, j);
  j["head_dim"] = c.mla.qk_rope_head_dim;
  if (v3) j["rope_interleave"] = c.rope_interleaved;
  if (v3) j["num_nextn_predict_layers"] = c.num_nextn_predict_layers;
  j["moe_layer_freq"] = 1;
  j["n_routed_experts"] = m.n_routed_experts ? Json(m.n_routed_experts) : Json(nullptr);
  if (m.n_routed_experts == 0) return;
  j["n_shared_experts"] = m.n_shared_experts;
  j["num_experts_per_tok"] = m.num_experts_per_tok;
  j["moe_intermediate_size"] = m.moe_intermediate_size;
  j["first_k_dense_replace"] = m.first_k_dense_replace;
  j["routed_scaling_factor"] = m.routed_scaling_factor;
  j["norm_topk_prob"] = m.norm_topk_prob;
  j["n_group"] = m.n_group;
  j["topk_group"] = m.topk_group;
  j["scoring_func"] = v3 ? "sigmoid" : "softmax";
  j["topk_method"] = v3 ? "noaux_tc" : m.n_group > 1 ? "group_limited_greedy" : "greedy";
  j["aux_loss_alpha"] = m.aux_loss_coef;
  j["seq_aux"] = m.aux_loss == "sequence";
}

void finish_mla(ModelConfig& c) {
  if (is_deepseek(c.family) && c.attention == "full") c.attention = "mla";
  const MlaConfig& m = c.mla;
  if (c.attention != "mla") {
    if (m.kv_lora_rank || m.q_lora_rank || m.qk_nope_head_dim || m.qk_rope_head_dim || m.v_head_dim)
      fail_usage("model config: mla.* belongs to attention mla, not ", c.attention);
    return;
  }
  for (const auto& [key, member] : kMlaSizes) {
    if (m.*member <= 0) fail_usage("model config: attention mla needs mla.", key, " above 0, got ", m.*member);
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

void check_rope(const ModelConfig& c) {
  const RopeScaling& s = c.rope;
  if (s.type == "llama3" && s.high_freq_factor <= s.low_freq_factor)
    fail_usage("model config: rope_scaling.high_freq_factor ", s.high_freq_factor, " must exceed low_freq_factor ", s.low_freq_factor);
  if (s.type == "yarn" && s.beta_fast <= s.beta_slow)
    fail_usage("model config: rope_scaling.beta_fast ", s.beta_fast, " must exceed beta_slow ", s.beta_slow);
  if (s.type == "yarn" && s.beta_slow <= 0) fail_usage("model config: rope_scaling.beta_slow must be positive, got ", s.beta_slow);
}

}  // namespace r1::model
