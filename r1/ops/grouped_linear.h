// The product of a mixture of experts: rows sorted by expert, each by its own expert's matrix, y[s] = x[s] . weight[e(s)]^T.
//   x [S, I], weight [E, O, I], ends [E] int32: rows ends[e-1] .. ends[e]-1 are expert e's (ops/expert_rows.h); y [S, O] in x's dtype.
// An expert without rows costs nothing; no row is padded for the busiest one's sake.
// CPU: expert after expert through the kernels of ops/linear, whose promises hold here too: a row's bits depend neither on the number of
// its expert's rows nor on threads. CUDA: one grouped product (ATen's _grouped_mm, bf16 on Hopper and later), where nothing waits for the
// device; else expert after expert.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

Tensor grouped_linear(const Tensor& x_SI, const Tensor& weight_EOI, const Tensor& ends_E);
Tensor grouped_linear_ref(const Tensor& x_SI, const Tensor& weight_EOI, const Tensor& ends_E);

}  // namespace r1::ops
