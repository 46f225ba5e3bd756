#include "r1/train/layer_metrics.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <optional>

#include "r1/tensor/aten.h"

namespace r1::train {
namespace {

// "layers.3.mlp.load" -> "layers.3.mlp" for ".load"
std::optional<std::string> without(const std::string& name, const std::string& suffix) {
  if (!name.ends_with(suffix)) return std::nullopt;
  return name.substr(0, name.size() - suffix.size());
}

// "layers.3.mlp" -> "3"
std::string layer_of(const std::string& name) {
  const size_t first = name.find('.');
  return first == std::string::npos ? name : name.substr(first + 1, name.find('.', first + 1) - first - 1);
}

void raise(std::map<std::string, double>& metrics, const std::string& key, double value) {
  const auto [it, fresh] = metrics.try_emplace(key, value);
  if (!fresh) it->second = std::max(it->second, value);
}

}  // namespace

std::map<std::string, double> layer_metrics(const nn::ForwardRecord& record, const model::WeightTable& weights) {
  const at::NoGradGuard no_grad;
  std::map<std::string, double> metrics;
  double balance = 0;
  int layers = 0;
  for (const auto& [name, value] : record.sums) {
    if (const auto layer = without(name, ".load")) {
      const double ratio = (value.max() / value.mean()).item<double>();
      metrics["moe/max_load_over_mean/" + layer_of(*layer)] = ratio;
      raise(metrics, "moe/max_load_over_mean", ratio);
    } else if (without(name, ".balance_loss")) {
      balance += value.item<double>();
      ++layers;
    }
  }
  if (layers > 0) metrics["moe/balance_loss"] = balance / layers;
  for (const model::WeightRow& row : weights) {
    if (layers > 0 && row.name.ends_with(".router_bias"))
      raise(metrics, "moe/bias_range", (row.tensor->max() - row.tensor->min()).item<double>());
  }
  return metrics;
}

}  // namespace r1::train
