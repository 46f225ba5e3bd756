#include "r1/ops/topk_sparse.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "r1/base/error.h"
#include "r1/kernels/cpu/sparse_mlp.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/linear.h"

namespace r1::ops {

namespace {

// With more a dense product, which reads the weights once for all rows, catches up.
constexpr int64_t kFewTokens = 1;

}  // namespace

Tensor topk_mask(const Tensor& gate_TF, int64_t keep) {
  check(gate_TF.dim() == 2 && keep >= 0 && keep <= gate_TF.size(1), "[topk_mask] expected gate [T, F] and keep in [0, F], got ",
        gate_TF.sizes(), " and ", keep);
  if (!has_cpu_kernels(gate_TF)) return topk_mask_ref(gate_TF, keep);
  const at::NoGradGuard no_grad;
  const Tensor gate = gate_TF.contiguous();
  Tensor mask_TF = at::empty_like(gate);
  kernels::top_mask({.gate = const_rows(gate), .mask = rows(mask_TF), .rows = gate.size(0), .dim = gate.size(1), .keep = keep});
  return mask_TF;
}

bool has_sparse_mlp(const Tensor& x_TD) {
  return x_TD.is_cpu() && x_TD.scalar_type() == at::kFloat && x_TD.size(0) <= kFewTokens;
}

Tensor sparse_mlp(const Tensor& x_TD, const SparseMlpWeights& w, int64_t keep) {
  check(x_TD.dim() == 2 && w.gate_FD.dim() == 2 && w.gate_FD.size(1) == x_TD.size(1) && w.up_FD.sizes() == w.gate_FD.sizes() &&
            w.down_FD.sizes() == w.gate_FD.sizes() && keep >= 0 && keep <= w.gate_FD.size(0),
        "[sparse_mlp] expected x [T, D], gate, up and down [F, D] and keep in [0, F], got ", x_TD.sizes(), ", ", w.gate_FD.sizes(), ", ",
        w.up_FD.sizes(), ", ", w.down_FD.sizes(), " and ", keep);
  check(!needs_grad({x_TD, w.gate_FD, w.up_FD, w.down_FD}), "[sparse_mlp] has no gradient: run it under no_grad");
  if (!x_TD.is_cpu() || x_TD.scalar_type() != at::kFloat) return sparse_mlp_ref(x_TD, w, keep);
  const at::NoGradGuard no_grad;
  const Tensor x = x_TD.contiguous(), gate_TF = linear(x, w.gate_FD).contiguous();
  const Tensor up = w.up_FD.contiguous(), down = w.down_FD.contiguous();
  Tensor y_TD = at::empty_like(x);
  for (int64_t t = 0; t < x.size(0); ++t) {
    kernels::sparse_mlp({.x = x.const_data_ptr<float>() + t * x.size(1),
                         .gate = gate_TF.const_data_ptr<float>() + t * gate_TF.size(1),
                         .up = up.const_data_ptr<float>(),
                         .down = down.const_data_ptr<float>(),
                         .y = y_TD.mutable_data_ptr<float>() + t * x.size(1),
                         .dim = x.size(1),
                         .inner = gate_TF.size(1),
                         .keep = keep});
  }
  return y_TD;
}

}  // namespace r1::ops
