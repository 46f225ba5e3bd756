#include <ATen/core/grad_mode.h>

#include "r1/ops/topk_sparse.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor topk_mask_ref(const Tensor& gate_TF, int64_t keep) {
  const at::NoGradGuard no_grad;
  const Tensor wide = gate_TF.scalar_type() == at::kDouble ? gate_TF : gate_TF.to(at::kFloat);
  const Tensor size = aten::abs(wide * aten::sigmoid(wide));
  const Tensor order = std::get<1>(aten::sort(size, /*stable=*/true, /*dim=*/-1, /*descending=*/true));
  return aten::zeros_like(gate_TF).scatter_(-1, order.narrow(-1, 0, keep), 1);
}

Tensor sparse_mlp_ref(const Tensor& x_TD, const SparseMlpWeights& w, int64_t keep) {
  const Tensor gate_TF = aten::linear(x_TD, w.gate_FD);
  const Tensor hidden_TF = gate_TF * aten::sigmoid(gate_TF) * aten::linear(x_TD, w.up_FD) * topk_mask_ref(gate_TF, keep);
  return aten::matmul(hidden_TF, w.down_FD);
}

}  // namespace r1::ops
