#include "r1/model/weights.h"

#include <span>
#include <utility>

#include "r1/base/error.h"
#include "r1/model/shard.h"

namespace r1::model {

namespace {

using enum WeightKind;

constexpr KnownWeight kKnown[] = {
    {"embedding", "model.embed_tokens.weight", "token_embd.weight", kEmbedding, 0},
    {"positions", "model.embed_positions.weight", "position_embd.weight", kEmbedding, -1},
    {"layers.#.attention_norm", "model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", kNorm, -1},
    {"layers.#.attention_norm_bias", "model.layers.#.input_layernorm.bias", "blk.#.attn_norm.bias", kBias, -1},
    {"layers.#.attention_norm_square", "model.layers.#.input_layernorm.square", "blk.#.attn_norm.square", kBuffer, -1},
    {"layers.#.attention_norm_nu", "model.layers.#.input_layernorm.nu", "blk.#.attn_norm.nu", kBuffer, -1},
    {"layers.#.attention_norm_count", "model.layers.#.input_layernorm.count", "blk.#.attn_norm.count", kBuffer, -1},
    {"layers.#.attention.q", "model.layers.#.self_attn.q_proj.weight", "blk.#.attn_q.weight", kMatrix, 0, true, true},
    {"layers.#.attention.q_bias", "model.layers.#.self_attn.q_proj.bias", "blk.#.attn_q.bias", kBias, 0, false, true},
    {"layers.#.attention.k", "model.layers.#.self_attn.k_proj.weight", "blk.#.attn_k.weight", kMatrix, 0, true, true},
    {"layers.#.attention.k_bias", "model.layers.#.self_attn.k_proj.bias", "blk.#.attn_k.bias", kBias, 0, false, true},
    {"layers.#.attention.v", "model.layers.#.self_attn.v_proj.weight", "blk.#.attn_v.weight", kMatrix, 0, true},
    {"layers.#.attention.v_bias", "model.layers.#.self_attn.v_proj.bias", "blk.#.attn_v.bias", kBias, 0},
    {"layers.#.attention.o", "model.layers.#.self_attn.o_proj.weight", "blk.#.attn_output.weight", kMatrix, 1, true},
    {"layers.#.attention.o_bias", "model.layers.#.self_attn.o_proj.bias", "blk.#.attn_output.bias", kBias, -1},
    {"layers.#.attention.q_norm", "model.layers.#.self_attn.q_norm.weight", "blk.#.attn_q_norm.weight", kNorm, -1},
    {"layers.#.attention.k_norm", "model.layers.#.self_attn.k_norm.weight", "blk.#.attn_k_norm.weight", kNorm, -1},
    {"layers.#.attention.q_a", "model.layers.#.self_attn.q_a_proj.weight", "blk.#.attn_q_a.weight", kMatrix, -1, true},
    {"layers.#.attention.q_a_bias", "model.layers.#.self_attn.q_a_proj.bias", "blk.#.attn_q_a.bias", kBias, -1},
    {"layers.#.attention.q_a_norm", "model.layers.#.self_attn.q_a_layernorm.weight", "blk.#.attn_q_a_norm.weight", kNorm, -1},
    {"layers.#.attention.q_b", "model.layers.#.self_attn.q_b_proj.weight", "blk.#.attn_q_b.weight", kMatrix, 0, true},
    {"layers.#.attention.kv_a", "model.layers.#.self_attn.kv_a_proj_with_mqa.weight", "blk.#.attn_kv_a_mqa.weight", kMatrix, -1, true},
    {"layers.#.attention.kv_a_bias", "model.layers.#.self_attn.kv_a_proj_with_mqa.bias", "blk.#.attn_kv_a_mqa.bias", kBias, -1},
    {"layers.#.attention.kv_a_norm", "model.layers.#.self_attn.kv_a_layernorm.weight", "blk.#.attn_kv_a_norm.weight", kNorm, -1},
    {"layers.#.attention.kv_b", "model.layers.#.self_attn.kv_b_proj.weight", "blk.#.attn_kv_b.weight", kMatrix, 0, true},
    {"layers.#.attention.mix_in", "model.layers.#.self_attn.mix_in_proj.weight", "blk.#.attn_mix_in.weight", kMatrix, -1},
    {"layers.#.attention.mix_out", "model.layers.#.self_attn.mix_out_proj.weight", "blk.#.attn_mix_out.weight", kMatrix, -1},
    {"layers.#.attention.distance_bias", "model.layers.#.self_attn.distance_bias", "blk.#.attn_distance_bias", kBias, 0},
    {"layers.#.mlp_norm", "model.layers.#.post_attention_layernorm.weight", "blk.#.ffn_norm.weight", kNorm, -1},
    {"layers.#.mlp_norm_bias", "model.layers.#.post_attention_layernorm.bias", "blk.#.ffn_norm.bias", kBias, -1},
    {"layers.#.mlp_norm_square", "model.layers.#.post_attention_layernorm.square", "blk.#.ffn_norm.square", kBuffer, -1},
    {"layers.#.mlp_norm_nu", "model.layers.#.post_attention_layernorm.nu", "blk.#.ffn_norm.nu", kBuffer, -1},
    {"layers.#.mlp_norm_count", "model.layers.#.post_attention_layernorm.count", "blk.#.ffn_norm.count", kBuffer, -1},
    {"layers.#.attention_post_norm", "model.layers.#.attention_output_layernorm.weight", "blk.#.post_attention_norm.weight", kNorm, -1},
    {"layers.#.attention_post_norm_bias", "model.layers.#.attention_output_layernorm.bias", "blk.#.post_attention_norm.bias", kBias, -1},
    {"layers.#.attention_post_norm_square", "model.layers.#.attention_output_layernorm.square", "blk.#.post_attention_norm.square", kBuffer,
     -1},
    {"layers.#.attention_post_norm_nu", "model.layers.#.attention_output_layernorm.nu", "blk.#.post_attention_norm.nu", kBuffer, -1},
    {"layers.#.attention_post_norm_count", "model.layers.#.attention_output_layernorm.count", "blk.#.post_attention_norm.count", kBuffer,
     -1},
    {"layers.#.mlp_post_norm", "model.layers.#.post_feedforward_layernorm.weight", "blk.#.post_ffw_norm.weight", kNorm, -1},
    {"layers.#.mlp_post_norm_bias", "model.layers.#.post_feedforward_layernorm.bias", "blk.#.post_ffw_norm.bias", kBias, -1},
    {"layers.#.mlp_post_norm_square", "model.layers.#.post_feedforward_layernorm.square", "blk.#.post_ffw_norm.square", kBuffer, -1},
    {"layers.#.mlp_post_norm_nu", "model.layers.#.post_feedforward_layernorm.nu", "blk.#.post_ffw_norm.nu", kBuffer, -1},
    {"layers.#.mlp_post_norm_count", "model.layers.#.post_feedforward_layernorm.count", "blk.#.post_ffw_norm.count", kBuffer, -1},
    {"layers.#.mlp.gate", "model.layers.#.mlp.gate_proj.weight", "blk.#.ffn_gate.weight", kMatrix, 0, true},
    {"layers.#.mlp.up", "model.layers.#.mlp.up_proj.weight", "blk.#.ffn_up.weight", kMatrix, 0, true},
    {"layers.#.mlp.down", "model.layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight", kMatrix, 1, true},
    {"layers.#.mlp.gate_bias", "model.layers.#.mlp.gate_proj.bias", "blk.#.ffn_gate.bias", kBias, 0},
    {"layers.#.mlp.up_bias", "model.layers.#.mlp.up_proj.bias", "blk.#.ffn_up.bias", kBias, 0},
    {"layers.#.mlp.down_bias", "model.layers.#.mlp.down_proj.bias", "blk.#.ffn_down.bias", kBias, -1},
    {"layers.#.mlp.norm", "model.layers.#.mlp.norm.weight", "blk.#.ffn_inner_norm.weight", kNorm, -1},
    {"layers.#.mlp.norm_bias", "model.layers.#.mlp.norm.bias", "blk.#.ffn_inner_norm.bias", kBias, -1},
    {"layers.#.mlp.down_by_neuron", "model.layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight", kMatrix, 0, true, false, true, true},
    {"layers.#.mlp.sparsity_shift", "model.layers.#.mlp.sparsity_shift", "blk.#.ffn_sparsity_shift", kBuffer, -1},
    {"layers.#.mlp.router", "model.layers.#.mlp.gate.weight", "blk.#.ffn_gate_inp.weight", kMatrix, -1},
    {"layers.#.mlp.router_bias", "model.layers.#.mlp.gate.e_score_correction_bias", "blk.#.exp_probs_b.bias", kBuffer, -1},
    {"layers.#.mlp.experts.gate", "model.layers.#.mlp.experts.*.gate_proj.weight", "blk.#.ffn_gate_exps.weight", kMatrix, 1, true},
    {"layers.#.mlp.experts.up", "model.layers.#.mlp.experts.*.up_proj.weight", "blk.#.ffn_up_exps.weight", kMatrix, 1, true},
    {"layers.#.mlp.experts.down", "model.layers.#.mlp.experts.*.down_proj.weight", "blk.#.ffn_down_exps.weight", kMatrix, 2, true},
    {"layers.#.mlp.shared.gate", "model.layers.#.mlp.shared_experts.gate_proj.weight", "blk.#.ffn_gate_shexp.weight", kMatrix, 0, true},
    {"layers.#.mlp.shared.up", "model.layers.#.mlp.shared_experts.up_proj.weight", "blk.#.ffn_up_shexp.weight", kMatrix, 0, true},
    {"layers.#.mlp.shared.down", "model.layers.#.mlp.shared_experts.down_proj.weight", "blk.#.ffn_down_shexp.weight", kMatrix, 1, true},
    {"layers.#.enorm", "model.layers.#.enorm.weight", "blk.#.nextn.enorm.weight", kNorm, -1},
    {"layers.#.hnorm", "model.layers.#.hnorm.weight", "blk.#.nextn.hnorm.weight", kNorm, -1},
    {"layers.#.eh_proj", "model.layers.#.eh_proj.weight", "blk.#.nextn.eh_proj.weight", kMatrix, -1},
    {"layers.#.shared_head_norm", "model.layers.#.shared_head.norm.weight", "blk.#.nextn.shared_head_norm.weight", kNorm, -1},
    {"norm", "model.norm.weight", "output_norm.weight", kNorm, -1},
    {"norm_bias", "model.norm.bias", "output_norm.bias", kBias, -1},
    {"norm_square", "model.norm.square", "output_norm.square", kBuffer, -1},
    {"norm_nu", "model.norm.nu", "output_norm.nu", kBuffer, -1},
    {"norm_count", "model.norm.count", "output_norm.count", kBuffer, -1},
    {"head", "lm_head.weight", "output.weight", kHead, 0, true},
};

const KnownWeight* find_in(std::span<const KnownWeight> list, const std::string& pattern) {
  for (const KnownWeight& k : list) {
    if (pattern == k.name) return &k;
  }
  return nullptr;
}

// The family's own row, or the common one.
const KnownWeight* find_known(const Family& family, const std::string& pattern) {
  const KnownWeight* own = find_in(family.weights, pattern);
  return own ? own : find_in(kKnown, pattern);
}

// Splits "layers.12.mlp.up" into "layers.#.mlp.up" and "12".
std::pair<std::string, std::string> generic_name(const std::string& name) {
  const std::string prefix = "layers.";
  if (name.compare(0, prefix.size(), prefix) != 0) return {name, ""};
  const size_t end = name.find('.', prefix.size());
  return {prefix + "#" + name.substr(end), name.substr(prefix.size(), end - prefix.size())};
}

bool is_of_kv_heads(const std::string& pattern) {
  for (const char* name : {".attention.k", ".attention.k_bias", ".attention.v", ".attention.v_bias"})
    if (pattern.ends_with(name)) return true;
  return false;
}

std::string with_layer(std::string pattern, const std::string& layer) {
  const size_t at = pattern.find('#');
  return at == std::string::npos ? pattern : pattern.replace(at, 1, layer);
}

}  // namespace

WeightTable make_weight_table(const std::vector<nn::Parameter>& parameters, const Family& family, const nn::Group& group,
                              int64_t kv_heads) {
  WeightTable table;
  for (const nn::Parameter& p : parameters) {
    const auto [pattern, layer] = generic_name(p.name);
    const KnownWeight* known = find_known(family, pattern);
    check(known != nullptr, "[weights] parameter '", p.name, "' is missing in the list of known weights");
    WeightRow row;
    row.name = p.name;
    row.hf_name = with_layer(known->hf, layer);
    row.gguf_name = with_layer(known->gguf, layer);
    row.shape = p.tensor->sizes().vec();
    row.kind = known->kind;
    row.shard_axis = known->shard_axis;
    row.shard_sections = known->shard_sections;
    row.shard_most = is_of_kv_heads(pattern) ? kv_heads : 0;
    row.whole_shape = row.shape;
    if (row.shard_axis >= 0) row.whole_shape[size_t(row.shard_axis)] *= shard_parts(row, group.size);
    row.quantizable = known->quantizable;
    row.rope_permuted_in_gguf = known->rope_rows && family.rope_rows_permuted_in_gguf;
    row.transposed_in_hf = known->transposed_in_hf;
    row.transposed_in_gguf = known->transposed_in_gguf;
    row.gguf_plus = row.kind == kNorm ? family.norm_offset : 0;
    row.tensor = p.tensor;
    row.weight = p.weight;
    table.push_back(std::move(row));
  }
  return table;
}

Tensor whole_weight(const WeightRow& row) {
  return row.weight && row.weight->packed() ? row.weight->dense() : row.tensor->detach();
}

std::vector<StoredWeight> stored_weights(const WeightRow& row) {
  const Tensor whole = whole_weight(row);
  const size_t star = row.hf_name.find('*');
  if (star == std::string::npos) return {{row.hf_name, row.transposed_in_hf ? whole.t() : whole}};
  std::vector<StoredWeight> parts;
  for (int64_t e = 0; e < whole.size(0); ++e)
    parts.push_back({std::string(row.hf_name).replace(star, 1, std::to_string(e)), whole.select(0, e)});
  return parts;
}

const WeightRow& find_weight(const WeightTable& table, const std::string& name) {
  for (const WeightRow& row : table) {
    if (row.name == name) return row;
  }
  fail("[weights] no weight is called '", name, "'");
}

WeightRow& find_weight(WeightTable& table, const std::string& name) {
  return const_cast<WeightRow&>(find_weight(std::as_const(table), name));
}

}  // namespace r1::model
