// The gated MLP of which each token keeps its strongest neurons only:
//   a = silu(x gate^T),  m = 1 for the `keep` largest |a| of the row (ties: the lower index), else 0,  y = (m a (x up^T)) down
// The choice m has no gradient; what is chosen has that of the dense layer.
//   x [T, D]; gate, up [F, D]; down [F, D], neuron by neuron, so that a neuron that is off is not read at all.
//
// topk_mask and the dense ops around it (linear_ordered, swiglu, linear_in) are the training form. sparse_mlp is the same for inference,
// gate products of all neurons, then up and down for those that some token chose. CPU fp32 and bf16: the two give the same bits.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

// 1 and 0 [T, F] like gate_TF, the products before the activation. 0 <= keep <= F. No gradient.
Tensor topk_mask(const Tensor& gate_TF, int64_t keep);
Tensor topk_mask_ref(const Tensor& gate_TF, int64_t keep);

struct SparseMlpWeights {
  Tensor gate_FD, up_FD, down_FD;
};
// Whether sparse_mlp is the faster road: few enough tokens for what they keep, fp32 or bf16 (of weights that has_ordered_sums) on the CPU.
// It has no gradient.
bool has_sparse_mlp(const Tensor& x_TD, const SparseMlpWeights& weights, int64_t keep);
Tensor sparse_mlp(const Tensor& x_TD, const SparseMlpWeights& weights, int64_t keep);
Tensor sparse_mlp_ref(const Tensor& x_TD, const SparseMlpWeights& weights, int64_t keep);

}  // namespace r1::ops
