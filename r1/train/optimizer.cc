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

// Where the state of rows lies. CPU: a tensor each. CUDA: parts of one, each of which begins at a multiple of kAlignment numbers.
class State {
 public:
  State(at::Device device, int64_t numbers) {
    if (device.is_cuda()) all_ = aten::empty({numbers}, at::TensorOptions().dtype(at::kFloat).device(device));
  }
  static int64_t padded(int64_t numbers) { return (numbers + kAlignment - 1) / kAlignment * kAlignment; }

  Tensor zeros_like(const Tensor& x) {
    if (!all_.defined()) return aten::zeros_like(x, at::TensorOptions().dtype(at::kFloat));
    return next(x).zero_();
  }
  Tensor copy_of(const Tensor& x) {
    if (!all_.defined()) return aten::empty(x.sizes(), at::kFloat).copy_(x);
    return next(x).copy_(x);
  }

 private:
  static constexpr int64_t kAlignment = 128;

  Tensor next(const Tensor& like) {
    const Tensor part = all_.narrow(0, at_, like.numel()).view(like.sizes());
    at_ += padded(like.numel());
    return part;
  }

  Tensor all_;
  int64_t at_ = 0;
};

bool needs_master(const Optimizer::Row& row) {
  return row.rounded || row.weight->tensor->scalar_type() != at::kFloat;
}

Optimizer::Row plain_row(const model::WeightRow& weight, const TrainerConfig& config, const WeightRounding& rounding) {
  Optimizer::Row row{.weight = &weight};
  row.rounded = rounding.applies && rounding.applies(weight);
  row.muon = config.optim == "muon" && weight.kind == WeightKind::kMatrix && weight.shape.size() >= 2;
  row.weight_decay = weight.kind == WeightKind::kMatrix ? config.weight_decay : 0;
  return row;
}

int64_t state_numbers(const Optimizer::Row& row) {
  return State::padded(row.weight->tensor->numel()) * ((needs_master(row) ? 1 : 0) + (row.muon ? 1 : 2));
}

void give_state(Optimizer::Row& row, State& state) {
  const Tensor detached = row.weight->tensor->detach();
  if (needs_master(row)) row.own_master = state.copy_of(detached);
  row.moment1 = state.zeros_like(detached);
  if (!row.muon) row.moment2 = state.zeros_like(detached);
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

Optimizer::Optimizer(model::Transformer& model, const TrainerConfig& config, const model::WeightTable* more, WeightRounding rounding)
    : model_(model), config_(config), rounding_(std::move(rounding)) {
  at::NoGradGuard no_grad;
  std::set<const Tensor*> seen;
  int64_t numbers = 0;
  for (const model::WeightTable* table : {static_cast<const model::WeightTable*>(&model.weights()), more}) {
    if (!table) continue;
    for (const model::WeightRow& weight : *table) {
      if (weight.kind == WeightKind::kBuffer || !seen.insert(weight.tensor).second) continue;
      rows_.push_back(plain_row(weight, config, rounding_));
      numbers += state_numbers(rows_.back());
    }
  }
  State state(model.device(), numbers);
  for (Row& row : rows_) give_state(row, state);
  put_rounded();
}

void Optimizer::put_masters() {
  const at::NoGradGuard no_grad;
  for (const Row& row : rows_)
    if (row.rounded) row.weight->tensor->copy_(row.own_master);
}

void Optimizer::put_rounded() {
  const at::NoGradGuard no_grad;
  put_masters();
  for (const Row& row : rows_)
    if (row.rounded) rounding_.round(*row.weight);
}

void Optimizer::update(std::span<const Tensor> gradients, const Tensor& verdict, double factor) {
  check(gradients.size() == rows_.size(), "[optimizer] expected ", rows_.size(), " gradients, got ", gradients.size());
  at::NoGradGuard no_grad;
  std::vector<ops::AdamWRow> adamw;
  std::vector<size_t> muon;
  for (size_t i = 0; i < rows_.size(); ++i) {
    const Row& row = rows_[i];
    if (!gradients[i].defined()) continue;
    if (row.muon) {
      muon.push_back(i);
      continue;
    }
    adamw.push_back({.w = master_of(row),
                     .gradient = gradients[i],
                     .m = row.moment1,
                     .v = row.moment2,
                     .rounded = row.own_master.defined() && !row.rounded ? row.weight->tensor->detach() : Tensor(),
                     .weight_decay = row.weight_decay});
  }
  ops::adamw_steps(adamw,
                   {.lr = config_.learning_rate * factor,
                    .beta1 = config_.adam_beta1,
                    .beta2 = config_.adam_beta2,
                    .epsilon = config_.adam_epsilon,
                    .t = updates_ + 1},
                   verdict);
  if (!muon.empty()) update_by_muon(gradients, muon, verdict, factor);
  put_rounded();
}

// AdamW leaves an element without gradients where it is, decay included, if it is zero; Muon mixes rows and columns, so its zeros are put back.
void Optimizer::hold_zeros(std::span<Tensor> gradients) {
  if (!config_.keep_zeros) return;
  const at::NoGradGuard no_grad;
  if (alive_.empty()) {
    alive_.resize(rows_.size());
    for (size_t i = 0; i < rows_.size(); ++i) {
      if (rows_[i].weight->kind != WeightKind::kMatrix) continue;
      const Tensor alive = master_of(rows_[i]) != 0;
      if (!alive.all().item<bool>()) alive_[i] = alive;
    }
  }
  for (size_t i = 0; i < rows_.size(); ++i)
    if (alive_[i].defined() && gradients[i].defined()) gradients[i].mul_(alive_[i]);
}

void Optimizer::update_by_muon(std::span<const Tensor> gradients, std::span<const size_t> rows, const Tensor& verdict, double factor) {
  const ops::Verdict said = ops::read_verdict(verdict);
  if (!said.good) return;
  std::vector<ops::MuonUpdate> updates;
  for (const size_t i : rows) {
    add_muon(updates, master_of(rows_[i]), gradients[i].to(at::kFloat), rows_[i].moment1,
             {.lr = config_.muon_learning_rate * factor,
              .momentum = config_.muon_momentum,
              .weight_decay = rows_[i].weight_decay,
              .gradient_scale = said.scale});
  }
  ops::muon_steps(updates);
  for (const size_t i : rows)
    if (!alive_.empty() && alive_[i].defined()) master_of(rows_[i]).mul_(alive_[i]);
  for (const size_t i : rows) {
    if (rows_[i].own_master.defined()) rows_[i].weight->tensor->detach().copy_(rows_[i].own_master);
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
  put_rounded();
}

}  // namespace r1::train
