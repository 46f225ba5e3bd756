#include "r1/train/optimizer.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>
#include <set>

#include "r1/dist/gradients.h"
#include "r1/model/shard.h"
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
  row.own.end = weight.tensor->numel();
  row.rounded = rounding.applies && rounding.applies(weight);
  row.muon = config.optim == "muon" && weight.kind == WeightKind::kMatrix && weight.shape.size() >= 2;
  row.weight_decay = weight.kind == WeightKind::kMatrix ? config.weight_decay : 0;
  return row;
}

int64_t state_numbers(const Optimizer::Row& row) {
  return State::padded(row.own.size()) * ((needs_master(row) ? 1 : 0) + (row.muon ? 1 : 2));
}

void give_state(Optimizer::Row& row, const Tensor& own, State& state) {
  if (needs_master(row)) row.own_master = state.copy_of(own);
  row.moment1 = state.zeros_like(own);
  if (!row.muon) row.moment2 = state.zeros_like(own);
}

// Muon's rows consist of matrices, which are whole to it; all others may be cut.
dist::RowSize size_of_row(const Optimizer::Row& row) {
  const Tensor& weight = *row.weight->tensor;
  return {weight.numel(), row.muon ? weight.numel() / (weight.size(-1) * weight.size(-2)) : 0};
}

// Stacked experts are matrices of their own to Muon, each made orthogonal by itself.
void add_muon(std::vector<ops::MuonUpdate>& updates, const Tensor& w, const Tensor& g, const Tensor& momentum, const ops::Muon& options) {
  if (w.dim() == 2) return updates.push_back({w, g, momentum, options});
  for (int64_t e = 0; e < w.size(0); ++e) updates.push_back({w.select(0, e), g.select(0, e), momentum.select(0, e), options});
}

}  // namespace

Optimizer::Optimizer(model::Transformer& model, const TrainerConfig& config, const model::WeightTable* more, WeightRounding rounding,
                     StateSharing sharing)
    : model_(model), config_(config), rounding_(std::move(rounding)) {
  at::NoGradGuard no_grad;
  std::set<const Tensor*> seen;
  for (const model::WeightTable* table : {static_cast<const model::WeightTable*>(&model.weights()), more}) {
    if (!table) continue;
    for (const model::WeightRow& weight : *table) {
      if (weight.kind == WeightKind::kBuffer || !seen.insert(weight.tensor).second) continue;
      rows_.push_back(plain_row(weight, config, rounding_));
    }
  }
  share(sharing);
  int64_t numbers = 0;
  for (const Row& row : rows_) numbers += state_numbers(row);
  State state(model.device(), numbers);
  for (Row& row : rows_) give_state(row, own_part(row, row.weight->tensor->detach()), state);
  put_rounded();
}

void Optimizer::share(StateSharing sharing) {
  if (sharing.ranks == 1) return;
  std::vector<dist::RowSize> sizes;
  for (const Row& row : rows_) sizes.push_back(size_of_row(row));
  shares_.emplace(sizes, sharing.ranks, dist::kBucketBytes / int64_t(sizeof(float)));
  for (size_t i = 0; i < rows_.size(); ++i) rows_[i].own = shares_->part(i, sharing.rank);
}

Tensor Optimizer::own_part(const Row& row, const Tensor& whole) const {
  return shares_ ? whole.view(-1).narrow(0, row.own.begin, row.own.size()) : whole;
}

Tensor Optimizer::matrices(const Row& row, const Tensor& own) const {
  const Tensor& weight = *row.weight->tensor;
  return shares_ ? own.view({-1, weight.size(-2), weight.size(-1)}) : own;
}

// Asked for anew each time: loading may put another tensor into the slot.
Tensor Optimizer::master_of(const Row& row) const {
  return row.own_master.defined() ? row.own_master : own_part(row, row.weight->tensor->detach());
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
                     .rounded = row.own_master.defined() && !row.rounded ? own_part(row, row.weight->tensor->detach()) : Tensor(),
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
    const Row& row = rows_[i];
    add_muon(updates, matrices(row, master_of(row)), matrices(row, gradients[i].to(at::kFloat)), matrices(row, row.moment1),
             {.lr = config_.muon_learning_rate * factor,
              .momentum = config_.muon_momentum,
              .weight_decay = row.weight_decay,
              .gradient_scale = said.scale});
  }
  ops::muon_steps(updates);
  for (const size_t i : rows)
    if (!alive_.empty() && alive_[i].defined()) master_of(rows_[i]).mul_(alive_[i]);
  for (const size_t i : rows) {
    const Row& row = rows_[i];
    if (row.own_master.defined()) own_part(row, row.weight->tensor->detach()).copy_(row.own_master);
  }
}

std::vector<StateSlot> Optimizer::state_slots() const {
  std::vector<StateSlot> slots;
  for (const Row& row : rows_) {
    const auto add = [&](const char* kind, const Tensor& part) {
      slots.push_back({.name = row.weight->hf_name + kind,
                       .part = part,
                       .shape = row.weight->tensor->sizes().vec(),
                       .own = row.own,
                       .row = row.weight,
                       .keep = {},
                       .whole = {}});
      if (!model::is_split(*row.weight)) return;
      slots.back().shape = row.weight->whole_shape;
      slots.back().keep = [weight = row.weight, part, group = model_.group()](const Tensor& whole) {
        part.copy_(model::shard_of(*weight, whole, group));
      };
    };
    add(row.muon ? ".momentum_buffer" : ".exp_avg", row.moment1);
    if (!row.muon) add(".exp_avg_sq", row.moment2);
    if (row.own_master.defined()) add(".master", row.own_master);
  }
  return slots;
}

std::vector<std::pair<std::string, Tensor>> Optimizer::state_tensors() const {
  std::vector<std::pair<std::string, Tensor>> state;
  for (const StateSlot& slot : state_slots())
    if (slot.own.size() > 0) state.emplace_back(slot.name, slot.part);
  return state;
}

void Optimizer::restore(const StateReader& fill) {
  const at::NoGradGuard no_grad;
  fill(state_slots());
  put_rounded();
}

void Optimizer::load_state(const std::vector<std::pair<std::string, Tensor>>& tensors) {
  std::map<std::string, const Tensor*> given;
  for (const auto& [name, tensor] : tensors) given[name] = &tensor;
  restore([&](const std::vector<StateSlot>& slots) {
    for (const StateSlot& slot : slots) {
      const auto it = given.find(slot.name);
      check(it != given.end(), "[optimizer] state lacks '", slot.name, "' (was the run trained with another optim or dtype?)");
      check(it->second->sizes() == at::IntArrayRef(slot.shape), "[optimizer] state '", slot.name, "': expected shape ",
            at::IntArrayRef(slot.shape), ", got ", it->second->sizes());
    }
    if (given.size() != slots.size()) {
      for (const StateSlot& slot : slots) given.erase(slot.name);
      fail("[optimizer] state has ", given.size(), " tensors that this run does not know, e.g. '", given.begin()->first, "'");
    }
    for (const StateSlot& slot : slots) {
      const Tensor& whole = *given[slot.name];
      if (slot.keep)
        slot.keep(whole);
      else
        slot.part.view(-1).copy_(whole.reshape(-1).narrow(0, slot.own.begin, slot.own.size()));
    }
  });
}

}  // namespace r1::train
