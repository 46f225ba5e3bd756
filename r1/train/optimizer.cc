#include "r1/train/optimizer.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>
#include <set>

#include "r1/ops/optimizer_step.h"
#include "r1/tensor/aten.h"

namespace r1::train {
namespace {

using model::WeightKind;

Optimizer::Row make_row(const model::WeightRow& weight, const TrainerConfig& config) {
  Optimizer::Row row{.weight = &weight};
  row.muon = config.optim == "muon" && weight.kind == WeightKind::kMatrix && weight.shape.size() >= 2;
  row.weight_decay = weight.kind == WeightKind::kMatrix ? config.weight_decay : 0;
  const Tensor detached = weight.tensor->detach();
  if (detached.scalar_type() != at::kFloat) row.own_master = detached.to(at::kFloat).contiguous();
  row.moment1 = aten::zeros_like(detached, at::TensorOptions().dtype(at::kFloat));
  if (!row.muon) row.moment2 = aten::zeros_like(row.moment1);
  return row;
}

// Stacked experts are matrices of their own to Muon, each made orthogonal by itself.
void add_muon(std::vector<ops::MuonUpdate>& updates, const Tensor& w, const Tensor& g, const Tensor& momentum, const ops::Muon& options) {
  if (w.dim() == 2) return updates.push_back({w, g, momentum, options});
  for (int64_t e = 0; e < w.size(0); ++e) updates.push_back({w.select(0, e), g.select(0, e), momentum.select(0, e), options});
}

// Asked for anew each time: loading may put another tensor into the slot.
Tensor master_of(const Optimizer::Row& row) {
  return row.own_master.defined() ? row.own_master : row.weight->tensor->detach();
}

}  // namespace

Optimizer::Optimizer(model::Transformer& model, const TrainerConfig& config) : model_(model), config_(config) {
  std::set<const Tensor*> seen;
  for (const model::WeightRow& weight : model.weights()) {
    if (weight.kind != WeightKind::kBuffer && seen.insert(weight.tensor).second) rows_.push_back(make_row(weight, config));
  }
}

void Optimizer::update(std::span<const Tensor> gradients, double scale, double factor) {
  check(gradients.size() == rows_.size(), "[optimizer] expected ", rows_.size(), " gradients, got ", gradients.size());
  at::NoGradGuard no_grad;
  ++updates_;
  std::vector<ops::MuonUpdate> muon;
  for (size_t i = 0; i < rows_.size(); ++i) {
    Row& row = rows_[i];
    if (!gradients[i].defined()) continue;
    Tensor master = master_of(row);
    if (row.muon) {
      add_muon(muon, master, gradients[i], row.moment1,
               {.lr = config_.muon_learning_rate * factor,
                .momentum = config_.muon_momentum,
                .weight_decay = row.weight_decay,
                .gradient_scale = scale});
    } else {
      ops::adamw_step(master, gradients[i], row.moment1, row.moment2,
                      {.lr = config_.learning_rate * factor,
                       .beta1 = config_.adam_beta1,
                       .beta2 = config_.adam_beta2,
                       .epsilon = config_.adam_epsilon,
                       .weight_decay = row.weight_decay,
                       .t = updates_,
                       .gradient_scale = scale});
    }
  }
  ops::muon_steps(muon);
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (gradients[i].defined() && rows_[i].own_master.defined()) rows_[i].weight->tensor->detach().copy_(rows_[i].own_master);
  }
}

std::vector<std::pair<std::string, Tensor>> Optimizer::state_tensors() const {
  std::vector<std::pair<std::string, Tensor>> state;
  for (const Row& row : rows_) {
    const std::string& name = row.weight->hf_name;
    state.emplace_back(name + (row.muon ? ".momentum_buffer" : ".exp_avg"), row.moment1);
    if (!row.muon) state.emplace_back(name + ".exp_avg_sq", row.moment2);
    if (row.own_master.defined()) state.emplace_back(name + ".master", row.own_master);
  }
  return state;
}

void Optimizer::load_state(const std::vector<std::pair<std::string, Tensor>>& tensors) {
  std::map<std::string, const Tensor*> given;
  for (const auto& [name, tensor] : tensors) given[name] = &tensor;
  auto slots = state_tensors();
  for (const auto& [name, slot] : slots) {
    const auto it = given.find(name);
    check(it != given.end(), "[optimizer] state lacks '", name, "' (was the run trained with another optim or dtype?)");
    check(it->second->sizes() == slot.sizes(), "[optimizer] state '", name, "': expected shape ", slot.sizes(), ", got ",
          it->second->sizes());
  }
  if (given.size() != slots.size()) {
    for (const auto& [name, slot] : slots) given.erase(name);
    fail("[optimizer] state has ", given.size(), " tensors that this run does not know, e.g. '", given.begin()->first, "'");
  }
  at::NoGradGuard no_grad;
  for (auto& [name, slot] : slots) slot.copy_(*given[name]);
}

}  // namespace r1::train
