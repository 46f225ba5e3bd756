#include "r1/model/footprint.h"

#include <algorithm>

#include "r1/model/transformer.h"

namespace r1::model {

namespace {

constexpr int kBlock = 16;

// The network without memory. What is looked up by position and learned nowhere is left short.
ModelConfig measured(ModelConfig c) {
  finish_config(c);
  if (c.positions == "rope") c.max_position_embeddings = std::min<int64_t>(c.max_position_embeddings, kBlock);
  return c;
}

int64_t numel(const WeightRow& row) {
  return row.tensor->numel();
}

// Modules of multi-token prediction come after the last layer.
bool is_mtp(const WeightRow& row, int64_t layers) {
  const std::string prefix = "layers.";
  return row.name.rfind(prefix, 0) == 0 && std::stoll(row.name.substr(prefix.size())) >= layers;
}

int64_t attention_flops(const ModelConfig& c) {
  const int64_t value = c.attention == "mla" ? c.mla.v_head_dim : c.head_dim;
  return 2 * c.num_hidden_layers * c.num_attention_heads * (c.head_dim + value);
}

}  // namespace

Footprint footprint(const ModelConfig& given, tensor::DType dtype, const ops::CacheForm& cache) {
  const Transformer model(measured(given), at::kMeta, dtype);
  const ModelConfig& c = model.config();
  Footprint f;
  int64_t idle = 0;
  for (const WeightRow& row : model.weights()) {
    if (is_mtp(row, c.num_hidden_layers)) {
      f.mtp_parameters += numel(row);
      continue;
    }
    f.parameters += numel(row);
    if (row.kind == WeightKind::kMatrix) {
      f.matrix_parameters += numel(row);
      f.largest_matrix = std::max(f.largest_matrix, row.shape.size() == 2 ? numel(row) : numel(row) / row.shape[0]);
    }
    if (row.name.find(".experts.") != std::string::npos)
      idle += numel(row) / c.moe.n_routed_experts * (c.moe.n_routed_experts - c.moe.num_experts_per_tok);
    if (row.kind == WeightKind::kEmbedding && !c.tie_word_embeddings) idle += numel(row);
  }
  f.active_parameters = f.parameters - idle;
  for (int i = 0; i < model.num_caches(true); ++i)
    (i < model.num_caches() ? f.cache_bytes_per_token : f.mtp_cache_bytes_per_token) +=
        model.cache_bytes(i, {kBlock, cache.type, cache.kept_first, cache.kept_last, cache.budget}) / kBlock;
  f.flops_per_token = 2 * f.active_parameters;
  f.attention_flops_per_context_token = attention_flops(c);
  return f;
}

int64_t parameter_count(const ModelConfig& config) {
  const Footprint f = footprint(config, at::kBFloat16);
  return f.parameters + f.mtp_parameters;
}

}  // namespace r1::model
