#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros_like.h>

#include "r1/ops/topk_sparse.h"

namespace r1::ops {

Tensor topk_mask_ref(const Tensor& gate_TF, int64_t keep) {
  const at::NoGradGuard no_grad;
  const Tensor wide = gate_TF.scalar_type() == at::kDouble ? gate_TF : gate_TF.to(at::kFloat);
  const Tensor size = at::abs(wide * at::sigmoid(wide));
  const Tensor order = std::get<1>(at::sort(size, /*stable=*/true, /*dim=*/-1, /*descending=*/true));
  return at::zeros_like(gate_TF).scatter_(-1, order.narrow(-1, 0, keep), 1);
}

Tensor sparse_mlp_ref(const Tensor& x_TD, const SparseMlpWeights& w, int64_t keep) {
  const Tensor gate_TF = at::linear(x_TD, w.gate_FD);
  const Tensor hidden_TF = gate_TF * at::sigmoid(gate_TF) * at::linear(x_TD, w.up_FD) * topk_mask_ref(gate_TF, keep);
  return at::matmul(hidden_TF, w.down_FD);
}

}  // namespace r1::ops
