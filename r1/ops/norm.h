// RMSNorm (Zhang and Sennrich, 2019): y = x / sqrt(mean(x^2) + eps) * weight over the last axis, sums in fp32; as in Llama the normalised x
// is rounded to x's dtype before the product with the weight.
//   x [..., D], weight [D]; y like x. Rows are independent of each other, bitwise.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

Tensor rms_norm(const Tensor& x, const Tensor& weight_D, double eps);
Tensor rms_norm_ref(const Tensor& x, const Tensor& weight_D, double eps);

}  // namespace r1::ops
