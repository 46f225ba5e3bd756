#include "r1/train/doctor.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <optional>

#include "r1/base/log.h"
#include "r1/dist/group.h"
#include "r1/tensor/aten.h"
#include "r1/train/forward.h"

namespace r1::train {
namespace {

const char* kind_of(const Tensor& x) {
  return aten::isnan(x).any().item<bool>() ? "NaN" : "Inf";
}

// " (layer 2)" for "layers.2.mlp.gate", "" for what lies outside the layers.
std::string layer_of(const std::string& name) {
  const std::string prefix = "layers.";
  if (name.compare(0, prefix.size(), prefix) != 0) return "";
  return name.substr(prefix.size(), name.find('.', prefix.size()) - prefix.size());
}

std::string bad_weight(const model::WeightTable& weights) {
  for (const model::WeightRow& row : weights) {
    if (all_finite(*row.tensor)) continue;
    const std::string layer = layer_of(row.name);
    return str(kind_of(*row.tensor), " in weight ", row.name, layer.empty() ? "" : " (first layer: " + layer + ")");
  }
  return "";
}

std::string layer_name(int layer, int layers) {
  if (layer < 0) return "the embedding's output";
  return layer < layers ? str("the output of layer ", layer, " (first layer: ", layer, ")") : "the final norm's output";
}

std::string bad_activation(model::Transformer& model, const data::Batch& batch) {
  std::string found;
  ForwardArgs args;
  args.model.observe = [&](int layer, const Tensor& x_TD) {
    if (found.empty() && !all_finite(x_TD)) found = str(kind_of(x_TD), " in ", layer_name(layer, model.num_layers()));
  };
  const Tensor logprob_T = forward(model, batch, args).logprob_T;
  if (found.empty() && !all_finite(logprob_T)) found = str(kind_of(logprob_T), " in the log-probabilities (the head)");
  return found;
}

}  // namespace

std::string first_said(dist::Group* ranks, const std::string& own) {
  if (!ranks) return own;
  for (const std::string& said : ranks->all_gather(own))
    if (!said.empty()) return said;
  return "";
}

bool all_finite(const Tensor& x) {
  return aten::isfinite(x).all().item<bool>();
}

std::string diagnose_loss(model::Transformer& model, std::span<const data::Batch> micro_batches,
                          const std::map<std::string, double>& terms) {
  at::NoGradGuard no_grad;
  if (std::string found = first_said(model.ranks(), bad_weight(model.weights())); !found.empty()) return found;
  for (const data::Batch& batch : micro_batches) {
    if (std::string found = bad_activation(model, batch); !found.empty()) return found;
  }
  for (const auto& [name, value] : terms)
    if (!std::isfinite(value))
      return str(std::isnan(value) ? "NaN" : "Inf", " in the loss's ", name,
                 " term; weights and activations are finite (look at what the batch gives it)");
  return "NaN or Inf in the loss; weights and activations are finite (look at advantages, rewards, loss weights)";
}

std::string diagnose_gradients(std::span<const Optimizer::Row> rows, std::span<const Tensor> gradients) {
  size_t bad = 0, last = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!gradients[i].defined() || all_finite(gradients[i])) continue;
    ++bad;
    // A tied embedding also gets the gradient that went through all layers, so a bad row inside the layers says more.
    if (bad == 1 || !layer_of(rows[i].weight->name).empty() || layer_of(rows[last].weight->name).empty()) last = i;
  }
  if (bad == 0) return kNormOverflows;
  const std::string& name = rows[last].weight->name;
  const std::string layer = layer_of(name);
  return str(kind_of(gradients[last]), " in gradient of ", name, " (", layer.empty() ? "" : "first layer: " + layer + "; ", bad, " of ",
             rows.size(), " gradients are bad)");
}

std::string diagnose_state(const Optimizer& optimizer) {
  at::NoGradGuard no_grad;
  for (const Optimizer::Row& row : optimizer.rows()) {
    if (!all_finite(*row.weight->tensor)) return str(kind_of(*row.weight->tensor), " in weight ", row.weight->name);
  }
  for (const auto& [name, tensor] : optimizer.state_tensors()) {
    if (!all_finite(tensor)) return str(kind_of(tensor), " in optimizer state ", name);
  }
  return "";
}

void BadSteps::bad(int64_t step, const std::string& reason) {
  ++in_a_row_, ++total_;
  log_warning("step ", step, " skipped: ", reason, " (", in_a_row_, " in a row, ", total_, " in all)");
  if (in_a_row_ < limit_) return;
  fail("training stopped at step ", step, ": ", in_a_row_, " steps in a row with NaN or Inf, the last one: ", reason,
       ". Weights are those of the last good step; lower learning_rate or look at the data, then resume");
}

}  // namespace r1::train
