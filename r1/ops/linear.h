// y_TO = x_TI . weight_OI^T + bias_O: the one dense product of the network.
//   x [T, I], weight [O, I], bias [O] or undefined, one dtype and device; y in that dtype.
// CPU fp32 ("invariant mode"): row t of y is bitwise the same whatever T, the other rows and the number of threads. CPU bf16: rows do not
// depend on T either (ATen's product; tests/ops/linear_test.cc holds it). CUDA: ATen's product, which promises neither.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

Tensor linear(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O = {});
// The same without bias and, in bf16 on the CPU too, with sums in a known order (kernels/cpu/gemm_bf16), so that a layer may compute some
// of the outputs alone with the same bits (ops/topk_sparse). Weights that has_ordered_sums says no to get linear() itself.
Tensor linear_ordered(const Tensor& x_TI, const Tensor& weight_OI);
// fp32 on the CPU; bf16 with an even `in`, contiguous and aligned to 4 bytes.
bool has_ordered_sums(const Tensor& weight_OI);
Tensor linear_ref(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O = {});

}  // namespace r1::ops
