#include "r1/ops/topk_sparse.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/kernels/cpu/linear_in.h"
#include "r1/kernels/cpu/sparse_mlp.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/linear.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// What all tokens keep, as a multiple of the neurons, up to which the sparse road was the faster one: measured with one to eight tokens
// that choose independently of each other (bench_mlp, docs/results/mlp.md).
constexpr double kWorthIt = 1.5;

}  // namespace

Tensor topk_mask(const Tensor& gate_TF, int64_t keep) {
  check(gate_TF.dim() == 2 && keep >= 0 && keep <= gate_TF.size(1), "[topk_mask] expected gate [T, F] and keep in [0, F], got ",
        gate_TF.sizes(), " and ", keep);
  if (!has_cpu_kernels(gate_TF)) return topk_mask_ref(gate_TF, keep);
  const at::NoGradGuard no_grad;
  const Tensor gate = gate_TF.contiguous();
  Tensor mask_TF = aten::empty_like(gate);
  kernels::top_mask({.gate = const_rows(gate), .mask = rows(mask_TF), .rows = gate.size(0), .dim = gate.size(1), .keep = keep});
  return mask_TF;
}

bool has_sparse_mlp(const Tensor& x_TD, const SparseMlpWeights& w, int64_t keep) {
  if (!has_ordered_sums(w.gate_FD) || !has_ordered_sums(w.up_FD) || !w.down_FD.is_cpu()) return false;
  const int64_t tokens = x_TD.size(0);
  return tokens <= kernels::kFewRows && double(tokens * keep) <= kWorthIt * double(w.gate_FD.size(0));
}

Tensor sparse_mlp(const Tensor& x_TD, const SparseMlpWeights& w, int64_t keep) {
  check(x_TD.dim() == 2 && w.gate_FD.dim() == 2 && w.gate_FD.size(1) == x_TD.size(1) && w.up_FD.sizes() == w.gate_FD.sizes() &&
            w.down_FD.sizes() == w.gate_FD.sizes() && keep >= 0 && keep <= w.gate_FD.size(0),
        "[sparse_mlp] expected x [T, D], gate, up and down [F, D] and keep in [0, F], got ", x_TD.sizes(), ", ", w.gate_FD.sizes(), ", ",
        w.up_FD.sizes(), ", ", w.down_FD.sizes(), " and ", keep);
  check(!needs_grad({x_TD, w.gate_FD, w.up_FD, w.down_FD}), "[sparse_mlp] has no gradient: run it under no_grad");
  if (!has_ordered_sums(w.gate_FD) || !has_ordered_sums(w.up_FD)) return sparse_mlp_ref(x_TD, w, keep);
  const at::NoGradGuard no_grad;
  const Tensor x = x_TD.contiguous(), gate_TF = linear_ordered(x, w.gate_FD);
  const Tensor up = w.up_FD.contiguous(), down = w.down_FD.contiguous();
  Tensor y_TD = aten::empty_like(x);
  kernels::sparse_mlp({.x = const_rows(x),
                       .gate = const_rows(gate_TF),
                       .up = const_rows(up),
                       .down = const_rows(down),
                       .y = rows(y_TD),
                       .rows = x.size(0),
                       .dim = x.size(1),
                       .inner = gate_TF.size(1),
                       .keep = keep});
  return y_TD;
}

}  // namespace r1::ops
