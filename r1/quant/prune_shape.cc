#include "r1/quant/prune_shape.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "r1/base/error.h"
#include "r1/model/families.h"
#include "r1/tensor/aten.h"

namespace r1::quant {

namespace {

using model::ModelConfig;

bool all_of(const std::vector<std::vector<int64_t>>& parts) {
  return parts.empty();
}

// "layers.7.mlp.up" -> 7 and "mlp.up"; -1 where it is no layer's.
std::pair<int64_t, std::string> layer_and_rest(const std::string& name) {
  const std::string prefix = "layers.";
  if (name.rfind(prefix, 0) != 0) return {-1, name};
  const size_t dot = name.find('.', prefix.size());
  return {std::stoll(name.substr(prefix.size(), dot - prefix.size())), name.substr(dot + 1)};
}

Tensor positions(const std::vector<int64_t>& numbers, at::Device device) {
  return aten::tensor(numbers, at::kLong).to(device);
}

// Rows (or columns) first + h * size .. of each head h.
std::vector<int64_t> spread(const std::vector<int64_t>& heads, int64_t size, int64_t first = 0) {
  std::vector<int64_t> out;
  for (const int64_t h : heads)
    for (int64_t i = 0; i < size; ++i) out.push_back(first + h * size + i);
  return out;
}

std::vector<int64_t> joined(std::vector<int64_t> a, const std::vector<int64_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// What is kept of one layer.
class LayerParts {
 public:
  LayerParts(const ModelConfig& config, const std::vector<int64_t>* kv_heads, const std::vector<int64_t>* channels)
      : c_(config), kv_heads_(kv_heads), channels_(channels) {}

  Tensor of(const std::string& rest, const Tensor& whole) const {
    if (kv_heads_ && rest.rfind("attention.", 0) == 0) return heads_of(rest.substr(10), whole);
    if (channels_ && rest.rfind("mlp.", 0) == 0) return channels_of(rest.substr(4), whole);
    return whole;
  }

 private:
  Tensor heads_of(const std::string& name, const Tensor& whole) const {
    const int64_t group = c_.num_attention_heads / c_.num_key_value_heads, h = c_.head_dim, n = c_.num_attention_heads,
                  k = c_.num_key_value_heads;
    const auto rows = [&](const std::vector<int64_t>& which, int64_t axis = 0) {
      return whole.index_select(axis, positions(which, whole.device()));
    };
    const auto queries = spread(*kv_heads_, group * h), keys = spread(*kv_heads_, h);
    if (name == "q" || name == "q_bias") return rows(queries);
    if (name == "k" || name == "k_bias" || name == "v" || name == "v_bias") return rows(keys);
    if (name == "qkv" || name == "qkv_bias")
      return rows(joined(joined(queries, spread(*kv_heads_, h, n * h)), spread(*kv_heads_, h, (n + k) * h)));
    if (name == "o") return rows(queries, 1);
    return whole;  // o_bias, q_norm, k_norm
  }

  Tensor channels_of(const std::string& name, const Tensor& whole) const {
    if (name == "down") return whole.index_select(1, positions(*channels_, whole.device()));
    if (name == "down_bias") return whole;
    return whole.index_select(0, positions(*channels_, whole.device()));  // gate, up and their biases
  }

  const ModelConfig& c_;
  const std::vector<int64_t>*kv_heads_, *channels_;
};

// The windows of kept layers are those that they had.
bool windows_stay(const ModelConfig& config, const std::vector<int64_t>& kept) {
  for (size_t i = 0; i < kept.size(); ++i)
    if (config.windowed_layer(kept[i]) != config.windowed_layer(int64_t(i))) return false;
  return true;
}

}  // namespace

void check_heads_can_go(const ModelConfig& c) {
  if (c.attention == "mla")
    fail_usage("prune: heads of latent attention (", c.family,
               ") share one compressed key and value, so there are no groups that could go; "
               "prune layers, or weights (--sparsity)");
  if (c.attention != "full")
    fail_usage("prune: heads of attention ", c.attention, " have weights of their own beside q, k, v and o; prune layers");
  if (model::family_of(c.family).heads_fill_width)
    fail_usage("prune: files of family ", c.family,
               " know no head_dim, it is hidden_size / heads, so fewer heads would be wider ones; prune "
               "channels or layers");
}

void check_channels_can_go(const ModelConfig& c) {
  if (c.moe.n_routed_experts > 0)
    fail_usage("prune: the MLPs of ", c.family, " are ", c.moe.n_routed_experts, " experts of ", c.moe.moe_intermediate_size,
               " channels each, which are not pruned here; prune layers, or weights (--sparsity)");
  if (c.ffn == "norm_gelu" || c.ffn == "topk_sparse")
    fail_usage("prune: in ffn ", c.ffn, " each neuron's value hangs on all others, so none can go by itself; prune heads or layers");
}

void check_layers_can_go(const ModelConfig& c, const std::vector<int64_t>& kept) {
  if (c.attention == "lsh") fail_usage("prune: attention lsh hashes by the layer's number, which would change; prune channels");
  if (!windows_stay(c, kept))
    fail_usage("prune: of ", c.family, "'s layers every ", c.attn.window_pattern,
               "th sees all and the others a window; with these layers gone "
               "the windows would fall on others: drop a multiple of ",
               c.attn.window_pattern, " layers");
}

std::unique_ptr<model::Transformer> smaller_model(const model::Transformer& whole, const KeptParts& kept) {
  const ModelConfig& c = whole.config();
  check(!kept.layers.empty() && std::is_sorted(kept.layers.begin(), kept.layers.end()), "[prune] expected layers in order");
  ModelConfig config = c;
  if (int64_t(kept.layers.size()) != c.num_hidden_layers) {
    check_layers_can_go(c, kept.layers);
    config.num_hidden_layers = int64_t(kept.layers.size());
    config.moe.first_k_dense_replace =
        std::count_if(kept.layers.begin(), kept.layers.end(), [&](int64_t layer) { return layer < c.moe.first_k_dense_replace; });
  }
  const auto number = [&](const std::vector<std::vector<int64_t>>& parts) {
    check(parts.size() == kept.layers.size(), "[prune] expected a list for each kept layer");
    for (const auto& part : parts) check(!part.empty() && part.size() == parts[0].size(), "[prune] expected as many in each layer");
    return int64_t(parts[0].size());
  };
  if (!all_of(kept.kv_heads)) {
    check_heads_can_go(c);
    const int64_t group = c.num_attention_heads / c.num_key_value_heads;
    config.num_key_value_heads = number(kept.kv_heads);
    config.num_attention_heads = group * config.num_key_value_heads;
  }
  if (!all_of(kept.channels)) {
    check_channels_can_go(c);
    config.intermediate_size = number(kept.channels);
  }
  auto small = std::make_unique<model::Transformer>(config, whole.device(), whole.dtype());
  const at::NoGradGuard no_grad;
  for (const model::WeightRow& row : small->weights()) {
    const auto [layer, rest] = layer_and_rest(row.name);
    std::string name = row.name;
    Tensor values;
    if (layer < 0) {
      values = model::whole_weight(model::find_weight(whole.weights(), name));
    } else {
      // Modules of multi-token prediction come after the layers, and are whole but for what all blocks share.
      const bool block = layer < config.num_hidden_layers;
      const int64_t from = block ? kept.layers[size_t(layer)] : layer - config.num_hidden_layers + c.num_hidden_layers;
      const size_t like = size_t(std::min(layer, config.num_hidden_layers - 1));
      const auto part = [&](const std::vector<std::vector<int64_t>>& parts) { return all_of(parts) ? nullptr : &parts[like]; };
      values = LayerParts(c, part(kept.kv_heads), part(kept.channels))
                   .of(rest, model::whole_weight(model::find_weight(whole.weights(), str("layers.", from, ".", rest))));
    }
    check(values.sizes() == row.tensor->sizes(), "[prune] ", row.name, ": expected ", row.tensor->sizes(), ", got ", values.sizes());
    row.tensor->copy_(values);
  }
  small->bump_version();
  return small;
}

}  // namespace r1::quant
