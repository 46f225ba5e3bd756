// Qwen3-MoE: Qwen3 with experts in the MLP's place, chosen by softmax, without shared experts, groups or bias. Written down from the
// published config.json files and transformers 5.23.
#include "r1/model/config_hf.h"

namespace r1::model {

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

void read_qwen3_moe(const HfReader& r, ModelConfig& c) {
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

void write_qwen3_moe(const ModelConfig& c, Json& j) {
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

}  // namespace r1::model
