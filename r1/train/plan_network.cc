#include "r1/train/plan_network.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/model/transformer.h"
#include "r1/train/plan.h"

namespace r1::train {
namespace {

using model::ModelConfig;
using model::WeightKind;
using model::WeightRow;

double numel(const std::vector<int64_t>& shape) {
  double n = 1;
  for (const int64_t size : shape) n *= double(size);
  return n;
}

bool ends_in(const std::string& name, const char* end) {
  return name.ends_with(end);
}

plan::Layer empty_layer(const ModelConfig& c, int64_t layer) {
  plan::Layer out;
  const bool latent = c.attention == "mla";
  out.hidden = double(c.hidden_size);
  out.heads = double(c.num_attention_heads);
  out.kv_heads = double(latent ? c.num_attention_heads : c.num_key_value_heads);
  out.qk_dim = double(c.head_dim);
  out.v_dim = double(latent ? c.mla.v_head_dim : c.head_dim);
  if (c.windowed_layer(layer)) out.window = double(c.attn.window);
  out.inner = double(inner_width(c, layer));
  if (c.moe_layer(layer)) {
    out.experts = double(c.moe.n_routed_experts);
    out.experts_per_token = double(c.moe.num_experts_per_tok);
    out.shared_expert = c.moe.n_shared_experts > 0;
  }
  out.saved_stream = 4 * 2 * out.hidden + 2 * 4;  // as saved_bytes_of_layer() begins: four values of the stream, and both norms' 1 / rms
  out.saved_inside = double(saved_bytes_of_layer(c, at::kBFloat16, layer)) - out.saved_stream;
  const double result = out.heads * out.v_dim;
  out.kept_attention = result + (latent ? double(c.mla.q_lora_rank + c.mla.kv_lora_rank + c.mla.qk_rope_head_dim)
                                        : out.heads * out.qk_dim + out.kv_heads * (out.qk_dim + out.v_dim));
  out.kept_mlp = 2 * out.inner + out.experts_per_token * out.hidden;
  return out;
}

void add_row(plan::Layer& layer, const WeightRow& row) {
  const bool expert = row.name.find(".experts.") != std::string::npos;
  (expert ? layer.expert : row.shard_axis >= 0 ? layer.split : layer.whole) += numel(row.shape);
  if (row.kind != WeightKind::kMatrix || row.shape.size() < 2) return;
  const size_t n = row.shape.size();
  layer.products.push_back({.in = double(row.shape[n - 1]),
                            .out = double(row.shape[n - 2]),
                            .axis = expert ? -1 : row.shard_axis,
                            .expert = expert,
                            .made_again = ends_in(row.name, ".q_b") || ends_in(row.name, ".kv_b")});
}

}  // namespace

plan::Network plan_network(const ModelConfig& c, const std::string& name) {
  if (c.attention != "full" && c.attention != "mla")
    fail_usage("--cluster: attention ", c.attention, " of ", printable(name), " has no plan for many GPUs (known: full, mla)");
  ModelConfig measured = c;
  measured.max_position_embeddings = c.positions == "rope" ? std::min<int64_t>(c.max_position_embeddings, 16) : c.max_position_embeddings;
  const model::Transformer transformer(measured, at::kMeta, at::kBFloat16);
  plan::Network n;
  n.name = name;
  n.hidden = double(c.hidden_size);
  n.vocab = double(c.vocab_size);
  n.heads = double(c.num_attention_heads);
  n.kv_heads = double(c.attention == "mla" ? c.num_attention_heads : c.num_key_value_heads);
  n.experts = double(c.moe.n_routed_experts);
  n.expert_groups = double(c.moe.n_group);
  n.groups_per_token = double(c.moe.topk_group);
  n.mtp_layers = c.num_nextn_predict_layers;
  std::vector<plan::Layer> layers;
  for (int64_t i = 0; i < c.num_hidden_layers + n.mtp_layers; ++i) layers.push_back(empty_layer(c, i));
  const std::string prefix = "layers.";
  for (const WeightRow& row : transformer.weights()) {
    if (row.name.starts_with(prefix)) {
      add_row(layers.at(size_t(std::stoll(row.name.substr(prefix.size())))), row);
    } else {
      (row.kind == WeightKind::kEmbedding ? n.embedding : row.kind == WeightKind::kHead ? n.head : n.final_whole) += numel(row.shape);
    }
  }
  for (const plan::Layer& layer : layers) {
    const auto known = std::find(n.kinds.begin(), n.kinds.end(), layer);
    n.layers.push_back(int(known - n.kinds.begin()));
    if (known == n.kinds.end()) n.kinds.push_back(layer);
  }
  return n;
}

}  // namespace r1::train
