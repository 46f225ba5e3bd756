// DeepSeek-V2 and V3 (and R1, which is V3): latent attention and experts as config.json spells them. Written down from the published files
// and transformers 5.23. The published V3 code and transformers differ in one thing: where mscale and mscale_all_dim of yarn are unequal,
// the code ignores the one and transformers puts their ratio on the rotated vectors. All published models have them equal; here it is as in
// transformers.
#include "r1/model/config_hf.h"
#include "r1/model/families.h"

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

void read_experts(const HfReader& r, ModelConfig& c, bool v3) {
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

template <bool v3>
void deepseek_from_hf(const HfReader& r, ModelConfig& c) {
  read_llama_keys(r, c);
  read_mla(r, c);
  read_experts(r, c, v3);
  c.num_nextn_predict_layers = r.get<int64_t>("num_nextn_predict_layers", 0);
  read_llama_rope(r, c);
}

void write_own_keys(const ModelConfig& c, Json& j, bool v3) {
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

template <bool v3>
void deepseek_to_hf(const ModelConfig& c, Json& j) {
  write_llama_keys(c, j);
  j["attention_bias"] = c.attention_bias;
  j["attention_dropout"] = 0.0;
  write_own_keys(c, j, v3);
  write_llama_rope(c, j);
}

}  // namespace

extern const Family kDeepseekV2, kDeepseekV3;
constinit const Family kDeepseekV2 = {.name = "deepseek_v2",
                                      .hf_class = "DeepseekV2ForCausalLM",
                                      .from_hf = deepseek_from_hf<false>,
                                      .to_hf = deepseek_to_hf<false>,
                                      .latent_attention = true};
constinit const Family kDeepseekV3 = {.name = "deepseek_v3",
                                      .hf_class = "DeepseekV3ForCausalLM",
                                      .from_hf = deepseek_from_hf<true>,
                                      .to_hf = deepseek_to_hf<true>,
                                      .latent_attention = true};

}  // namespace r1::model
