// LayerNorm (Ba, Kiros, Hinton, 2016): y = (x - mean) / sqrt(variance + eps) * weight + bias over the last axis, and the same with GELU
// after it in one pass; computed in fp32 and rounded once. The fused form never stores the norm's result: half the memory of the two ops
// in training, and one reading less of x's size in each direction.
//   x [..., D], weight and bias [D]; y like x. Rows are independent of each other, bitwise.
#pragma once

#include "r1/ops/gelu.h"
#include "r1/tensor/tensor.h"

namespace r1::ops {

Tensor layer_norm(const Tensor& x, const Tensor& weight_D, const Tensor& bias_D, double eps);
Tensor layer_norm_ref(const Tensor& x, const Tensor& weight_D, const Tensor& bias_D, double eps);

// gelu(layer_norm(x))
Tensor layer_norm_gelu(const Tensor& x, const Tensor& weight_D, const Tensor& bias_D, double eps, GeluForm form);
Tensor layer_norm_gelu_ref(const Tensor& x, const Tensor& weight_D, const Tensor& bias_D, double eps, GeluForm form);

}  // namespace r1::ops
