// y_TO = x_TI . weight_OI^T + bias_O: the one dense product of the network.
//   x [T, I], weight [O, I], bias [O] or undefined, one dtype and device; y in that dtype.
// CPU fp32 ("invariant mode"), and CPU bf16 where the CPU has no instruction for bf16 products: row t of y is bitwise the same whatever T,
// the other rows and the number of threads. CPU bf16 with one: rows do not depend on T either (ATen's product; tests/ops/rows_test.cc holds
// it). CUDA: ATen's product, which promises neither.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

Tensor linear(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O = {});
// The same with y in fp32: what a product of bf16 was before it was rounded, except where ATen rounds it.
Tensor linear_fp32(const Tensor& x_TI, const Tensor& weight_OI);
// The same without bias and, in bf16 on the CPU too, with sums in a known order (kernels/cpu/gemm_bf16), so that a layer may compute some
// of the outputs alone with the same bits (ops/topk_sparse).
Tensor linear_ordered(const Tensor& x_TI, const Tensor& weight_OI);
// Whether that layer may: fp32 on the CPU; bf16 with an even `in`, contiguous and aligned to 4 bytes.
bool has_ordered_sums(const Tensor& weight_OI);
Tensor linear_ref(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O = {});

}  // namespace r1::ops
