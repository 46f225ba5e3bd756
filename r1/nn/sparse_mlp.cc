#include "r1/nn/sparse_mlp.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"
#include "r1/nn/mlp.h"
#include "r1/ops/autograd.h"
#include "r1/ops/linear.h"
#include "r1/ops/linear_in.h"
#include "r1/ops/power_norm.h"
#include "r1/ops/swiglu.h"
#include "r1/ops/topk_sparse.h"
#include "r1/tensor/aten.h"

namespace r1::nn {

namespace {

constexpr const char* kRecord = ".sparse_mlp.gradient_squares";

std::string record_name(uint64_t layer) {
  return str("layers.", layer, kRecord);
}

// x itself, whose gradient leaves its sum of squares in the record on the way back.
Tensor watched(const Tensor& x_TF, const std::string& name, ForwardRecord* record) {
  if (!record || !ops::needs_grad({x_TF})) return x_TF;
  return ops::differentiable("watched", x_TF.detach(), {x_TF}, {},
                             [name, record](const Tensor& dx_TF, const ops::Tensors&, const ops::Wanted&) {
                               record->add(name, ops::sum_of_squares(dx_TF).sum());
                               return ops::Tensors{dx_TF};
                             });
}

// The mean over the sparse layers of their gradient's norm.
double mean_norm(const ForwardRecord& record) {
  double sum = 0;
  int64_t layers = 0;
  for (const auto& [name, squares] : record.sums) {
    if (name.size() < std::string_view(kRecord).size() || !name.ends_with(kRecord)) continue;
    sum += std::sqrt(squares.item<double>());
    ++layers;
  }
  return layers ? sum / double(layers) : 0;
}

}  // namespace

SparseMlp::SparseMlp(const SparseMlpShape& s, const Placement& placement)
    : shape_(s),
      gate_FD_({s.inner, s.dim}, placement),
      up_FD_({s.inner, s.dim}, placement),
      down_FD_({s.inner, s.dim}, placement),
      shift_1_(new_weight({1}, {placement.device, at::kFloat})) {}

double SparseMlp::sparsity() const {
  return std::clamp(shape_.sparsity + shift_1_.item<double>(), shape_.min_sparsity, shape_.max_sparsity);
}

int64_t SparseMlp::kept() const {
  return std::max<int64_t>(1, std::llround((1 - sparsity()) * double(shape_.inner)));
}

Tensor SparseMlp::operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache*) const {
  const bool dropping = context.training() && shape_.dropout > 0;
  const ops::SparseMlpWeights w{gate_FD_.dense(), up_FD_.dense(), down_FD_.dense()};
  const int64_t keep = kept();
  if (!dropping && ops::has_sparse_mlp(x_TD, w, keep) && !ops::needs_grad({x_TD, w.gate_FD, w.up_FD, w.down_FD}))
    return ops::sparse_mlp(x_TD, w, keep);
  const Tensor gate_TF = ops::linear_ordered(x_TD, w.gate_FD);
  const Tensor on_TF = ops::swiglu(gate_TF, ops::linear_ordered(x_TD, w.up_FD)) * ops::topk_mask(gate_TF, keep);
  const Tensor hidden_TF = mlp_dropout(on_TF, shape_.dropout, shape_.layer, context);
  return ops::linear_in(watched(hidden_TF, record_name(shape_.layer), context.record), w.down_FD);
}

void SparseMlp::parameters(ParameterList list) {
  list.add("gate", gate_FD_);
  list.add("up", up_FD_);
  list.add("down_by_neuron", down_FD_);
  list.add("sparsity_shift", shift_1_);
}

void SparseMlp::after_step(const ForwardRecord& record) {
  const auto mine = record.sums.find(record_name(shape_.layer));
  if (mine == record.sums.end()) return;
  const double norm = std::sqrt(mine->second.item<double>());
  const double target = shape_.target_grad_norm > 0 ? shape_.target_grad_norm : mean_norm(record);
  if (!(norm > 0) || !(target > 0)) return;  // NaN too: such a step moves nothing
  const at::NoGradGuard no_grad;
  const double next =
      std::clamp(sparsity() + shape_.speed * std::clamp(std::log(target / norm), -1.0, 1.0), shape_.min_sparsity, shape_.max_sparsity);
  shift_1_.fill_(next - shape_.sparsity);
}

}  // namespace r1::nn
