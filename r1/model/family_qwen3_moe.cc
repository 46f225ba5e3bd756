// Qwen3-MoE: Qwen3 with experts in the MLP's place, chosen by softmax, without shared experts, groups or bias. Written down from the
// published config.json files and transformers 5.23.
#include "r1/model/config_hf.h"
#include "r1/model/families.h"

namespace r1::model {

namespace {

void set_qwen3_moe(ModelConfig& c) {
  MoeConfig& m = c.moe;
  m.gate = "softmax";
  m.bias = false;
  m.n_shared_experts = 0;
  m.n_group = m.topk_group = 1;
  m.routed_scaling_factor = 1;
  m.aux_loss = "batch";
  m.aux_loss_coef = 1e-3;
}

void read_experts(const HfReader& r, ModelConfig& c) {
  set_qwen3_moe(c);
  MoeConfig& m = c.moe;
  // transformers 5 may call it num_local_experts.
  m.n_routed_experts = r.has("num_experts") ? r.need<int64_t>("num_experts") : r.need<int64_t>("num_local_experts");
  m.num_experts_per_tok = r.need<int64_t>("num_experts_per_tok");
  m.moe_intermediate_size = r.need<int64_t>("moe_intermediate_size");
  m.norm_topk_prob = r.get<bool>("norm_topk_prob", false);
  m.aux_loss_coef = r.get<double>("router_aux_loss_coef", m.aux_loss_coef);
  r.only("decoder_sparse_step", 1, " (1 is)");
  if (!r.has("mlp_only_layers")) return;
  const Json& dense = r.json["mlp_only_layers"];
  if (!dense.is_array()) r.refuse("mlp_only_layers is no list: ", dense.dump());
  for (size_t i = 0; i < dense.size(); ++i) {
    if (dense[i] != Json(i)) r.refuse("mlp_only_layers = ", dense.dump(), " is not supported (the first layers, in order, are)");
  }
  m.first_k_dense_replace = int64_t(dense.size());
}

void write_experts(const ModelConfig& c, Json& j) {
  const MoeConfig& m = c.moe;
  j["num_experts"] = m.n_routed_experts;
  j["num_experts_per_tok"] = m.num_experts_per_tok;
  j["moe_intermediate_size"] = m.moe_intermediate_size;
  j["norm_topk_prob"] = m.norm_topk_prob;
  j["router_aux_loss_coef"] = m.aux_loss_coef;
  j["output_router_logits"] = false;
  j["decoder_sparse_step"] = 1;
  j["mlp_only_layers"] = Json::array();
  for (int64_t i = 0; i < m.first_k_dense_replace; ++i) j["mlp_only_layers"].push_back(i);
}

void qwen3_moe_from_hf(const HfReader& r, ModelConfig& c) {
  read_llama_keys(r, c);
  read_experts(r, c);
  read_llama_rope(r, c);
}

void qwen3_moe_to_hf(const ModelConfig& c, Json& j) {
  write_llama_keys(c, j);
  j["attention_bias"] = c.attention_bias;
  j["attention_dropout"] = 0.0;
  j["use_sliding_window"] = false;
  write_experts(c, j);
  write_llama_rope(c, j);
}

// llama.cpp's graph of this architecture always norms the gates.
void qwen3_moe_from_gguf(const GgufFile& file, ModelConfig& c) {
  set_qwen3_moe(c);
  c.moe.n_routed_experts = file.integer("qwen3moe.expert_count");
  c.moe.num_experts_per_tok = file.integer("qwen3moe.expert_used_count");
  c.moe.moe_intermediate_size = file.integer("qwen3moe.expert_feed_forward_length");
  c.moe.norm_topk_prob = true;
}

void qwen3_moe_to_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  if (!c.moe.norm_topk_prob || c.moe.first_k_dense_replace > 0)
    fail_usage("GGUF has no form of qwen3_moe with norm_topk_prob = false or dense layers: llama.cpp would compute something else");
  metadata.add_u32("qwen3moe.expert_count", c.moe.n_routed_experts);
  metadata.add_u32("qwen3moe.expert_used_count", c.moe.num_experts_per_tok);
  metadata.add_u32("qwen3moe.expert_feed_forward_length", c.moe.moe_intermediate_size);
}

}  // namespace

extern const Family kQwen3Moe;
constinit const Family kQwen3Moe = {.name = "qwen3_moe",
                                    .hf_class = "Qwen3MoeForCausalLM",
                                    .from_hf = qwen3_moe_from_hf,
                                    .to_hf = qwen3_moe_to_hf,
                                    .gguf = "qwen3moe",
                                    .from_gguf = qwen3_moe_from_gguf,
                                    .to_gguf = qwen3_moe_to_gguf,
                                    .set = set_qwen3_moe,
                                    .always_qk_norm = true};

}  // namespace r1::model
