// The three products of a dense layer on the CPU, into tensors that are there: kernels/cpu on tensors for which has_cpu_products holds. For
// files of this folder; shapes are the caller's business, all tensors are dense and each is in fp32 or bf16.
#pragma once

#include "r1/ops/cpu_kernels.h"

namespace r1::ops {

// y = x w^T + bias; x and w of one type.
void linear_into(const Tensor& y_TO, const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O = {});
// dx = dy w
void linear_grad_x_into(const Tensor& dx_TI, const Tensor& dy_TO, const Tensor& weight_OI);
// dw = dy^T x, or added to dw in fp32.
void linear_grad_w_into(const Tensor& dw_OI, const Tensor& dy_TO, const Tensor& x_TI, bool add = false);

}  // namespace r1::ops
