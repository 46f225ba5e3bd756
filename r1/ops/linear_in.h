// A linear map whose weight lies [in, out], input by input, for sparse inputs (ops/topk_sparse): y = x w.
//   x [T, I], weight [I, O] of x's dtype; y [T, O]. fp32 on the CPU: the sums are linear()'s (kernels/cpu/gemm_f32), so y has the bits of
//   linear(x, weight^T); bf16: the same sums of the widened values, rounded once. Either way zeros in x leave the other terms' bits alone.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

Tensor linear_in(const Tensor& x_TI, const Tensor& weight_IO);
Tensor linear_in_ref(const Tensor& x_TI, const Tensor& weight_IO);

}  // namespace r1::ops
