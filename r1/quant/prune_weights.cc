#include "r1/quant/prune_weights.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "r1/base/error.h"
#include "r1/base/interrupt.h"
#include "r1/quant/gptq.h"
#include "r1/quant/inverse_factor.h"
#include "r1/quant/prune_forward.h"
#include "r1/tensor/aten.h"

namespace r1::quant {

namespace {

// 0 for the `count` smallest scores along the last axis, else 1. Of equal ones the first go.
Tensor without_smallest(const Tensor& scores_RN, int64_t count) {
  const Tensor order = std::get<1>(aten::sort(scores_RN, /*stable=*/std::optional<bool>(true), -1));
  return aten::ones_like(scores_RN).scatter(-1, order.narrow(-1, 0, count), 0);
}

int64_t share_of(int64_t number, double share) {
  return int64_t(std::llround(double(number) * share));
}

// The mask of scores [O, I]: two of each four of a row, or a share of each row, or of the whole matrix.
Tensor mask_by(const Tensor& scores_OI, const SparsityOptions& o, bool by_row) {
  if (o.of_four) return without_smallest(scores_OI.reshape({-1, 4}), 2).view(scores_OI.sizes());
  if (by_row) return without_smallest(scores_OI, share_of(scores_OI.size(1), o.share));
  return without_smallest(scores_OI.reshape({1, -1}), share_of(scores_OI.numel(), o.share)).view(scores_OI.sizes());
}

void sparse_gpt(const Tensor& w_OI, const Tensor& x_TI, const SparsityOptions& o) {
  const Tensor w = w_OI.to(at::kDouble), x = x_TI.to(at::kDouble), h_II = aten::matmul(x.t(), x);
  // A column that nothing ever comes to goes, and stands in nobody's way.
  const Tensor dead_I = h_II.diagonal() == 0;
  w.masked_fill_(dead_I.unsqueeze(0), 0);
  h_II.diagonal().add_(dead_I.to(at::kDouble));
  double damping = o.damping;
  const Tensor u_II = inverse_factor(h_II, damping);
  const int64_t columns = w.size(1), block = o.of_four ? std::max<int64_t>(4, o.block / 4 * 4) : o.block;
  for (int64_t begin = 0; begin < columns; begin += block) {
    const int64_t end = std::min(columns, begin + block), count = end - begin;
    const Tensor w1 = w.narrow(1, begin, count), u1 = u_II.narrow(0, begin, count).narrow(1, begin, count);
    const auto cost = [&](int64_t first, int64_t n) {
      return w1.narrow(1, first, n).square() / u1.diagonal().narrow(0, first, n).square().unsqueeze(0);
    };
    Tensor mask = aten::ones_like(w1);
    if (!o.of_four) mask = without_smallest(cost(0, count).reshape({1, -1}), share_of(w1.numel(), o.share)).view(w1.sizes());
    Tensor errors = aten::zeros_like(w1);
    for (int64_t i = 0; i < count; ++i) {
      if (o.of_four && i % 4 == 0) mask.narrow(1, i, 4).copy_(without_smallest(cost(i, 4), 2));
      const Tensor column = w1.narrow(1, i, 1), kept = column * mask.narrow(1, i, 1);
      const Tensor error = (column - kept) / u1[i][i];
      w1.narrow(1, i, count - i).sub_(aten::matmul(error, u1.narrow(0, i, 1).narrow(1, i, count - i)));
      column.copy_(kept);
      errors.narrow(1, i, 1).copy_(error);
    }
    if (end < columns)
      w.narrow(1, end, columns - end).sub_(aten::matmul(errors, u_II.narrow(0, begin, count).narrow(1, end, columns - end)));
  }
  w_OI.copy_(w);
}

std::vector<model::WeightRow*> matrices_of(model::Transformer& model) {
  std::vector<model::WeightRow*> out;
  for (model::WeightRow& row : model.weights())
    if (row.kind == model::WeightKind::kMatrix && row.quantizable && row.name.rfind("layers.", 0) == 0) out.push_back(&row);
  return out;
}

// Prunes matrices as their inputs arrive.
class Pruner {
 public:
  Pruner(model::Transformer& model, const SparsityOptions& options) : o_(options), model_(model), rows_(matrices_of(model)) {
    for (model::WeightRow* row : rows_) {
      if (o_.method == "magnitude" || !row->weight) continue;
      row->weight->on_input([this, row](const Tensor& x_TI, int64_t expert) {
        throw_if_interrupted();
        if (x_TI.size(0) > 0) prune(*row, expert, x_TI);
        return x_TI;
      });
    }
    model_.arrange();  // a joint product asks nobody for inputs
  }
  ~Pruner() { let_go(); }

  std::vector<PrunedMatrix> finish() {
    let_go();
    model_.arrange();
    std::vector<PrunedMatrix> out;
    for (model::WeightRow* row : rows_) {
      for (int64_t e = 0; e < experts(*row); ++e) {
        if (done_.count({row, e})) continue;
        // An expert that no token went to has nothing but its weights; of any other matrix somebody has forgotten to ask.
        check(o_.method == "magnitude" || row->shape.size() == 3, "[prune] no input of ", row->name, " was seen");
        prune(*row, e, {});
      }
      double error = 0;
      for (int64_t e = 0; e < experts(*row); ++e) error += done_.at({row, e}) / double(experts(*row));
      out.push_back({row->name, (*row->tensor == 0).to(at::kDouble).mean().item<double>(), error});
    }
    return out;
  }

 private:
  void let_go() {
    for (model::WeightRow* row : rows_)
      if (row->weight) row->weight->on_input({});
  }

  static int64_t experts(const model::WeightRow& row) { return row.shape.size() == 3 ? row.shape[0] : 1; }

  void prune(const model::WeightRow& row, int64_t expert, const Tensor& x_TI) {
    if (done_.count({&row, expert})) return;  // q, k and v of one matrix ask one after the other
    const Tensor all = row.tensor->detach(), w_OI = all.dim() == 3 ? all.select(0, expert) : all, before = w_OI.clone();
    prune_matrix(w_OI, x_TI, o_);
    done_[{&row, expert}] = 0;
    if (!x_TI.defined()) return;
    const Tensor x = x_TI.to(at::kFloat);
    done_[{&row, expert}] = relative_error(before.to(at::kFloat), w_OI.to(at::kFloat), aten::matmul(x.t(), x));
  }

  SparsityOptions o_;
  model::Transformer& model_;
  std::vector<model::WeightRow*> rows_;
  std::map<std::pair<const model::WeightRow*, int64_t>, double> done_;
};

}  // namespace

void prune_matrix(const Tensor& w_OI, const Tensor& x_TI, const SparsityOptions& o) {
  const at::NoGradGuard no_grad;
  if (!x_TI.defined() || o.method == "magnitude") {
    w_OI.mul_(mask_by(w_OI.abs().to(at::kDouble), o, /*by_row=*/false));
  } else if (o.method == "wanda") {
    const Tensor norms_I = x_TI.to(at::kDouble).square().sum(0).sqrt();
    w_OI.mul_(mask_by(w_OI.abs().to(at::kDouble) * norms_I.unsqueeze(0), o, /*by_row=*/true));
  } else {
    sparse_gpt(w_OI, x_TI, o);
  }
}

void check_weights_can_go(const model::Transformer& model, const SparsityOptions& o) {
  const model::ModelConfig& c = model.config();
  if (c.ffn == "topk_sparse")
    fail_usage("prune: ffn topk_sparse is sparse by itself, and its down matrix lies neuron by neuron; prune layers");
  if (o.method != "magnitude" && c.attention == "mla")
    fail_usage("prune: latent attention (", c.family,
               ") multiplies with parts of its matrices, so nobody sees what goes into them; "
               "--sparsity_method magnitude needs no inputs");
  if (!o.of_four) return;
  for (const model::WeightRow& row : model.weights())
    if (row.kind == model::WeightKind::kMatrix && row.quantizable && row.shape.back() % 4 != 0)
      fail_usage("prune: sparsity 2:4 takes two of each four neighbours of a row, and ", row.name, " has rows of ", row.shape.back(),
                 "; give a share, as --sparsity 0.5");
}

std::vector<PrunedMatrix> prune_weights(model::Transformer& model, const data::Batch& calibration, const SparsityOptions& options) {
  check_weights_can_go(model, options);
  const at::NoGradGuard no_grad;
  Pruner pruner(model, options);
  if (options.method != "magnitude") states_of(model, calibration);
  auto done = pruner.finish();
  model.bump_version();
  return done;
}

}  // namespace r1::quant
