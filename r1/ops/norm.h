// RMSNorm (Zhang and Sennrich, 2019): y = x / sqrt(mean(x^2) + eps) * weight over the last axis, computed in fp32 and rounded once.
//   x [..., D], weight [D]; y like x. Rows are independent of each other, bitwise.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

Tensor rms_norm(const Tensor& x, const Tensor& weight_D, double eps);
Tensor rms_norm_ref(const Tensor& x, const Tensor& weight_D, double eps);

}  // namespace r1::ops
