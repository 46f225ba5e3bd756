// RMSNorm (Zhang and Sennrich, 2019): y = x / sqrt(mean(x^2) + eps) * (weight + offset) over the last axis, computed in fp32 and rounded
// once. The offset is 1 where the weight is stored as its distance from 1 (Gemma), else 0.
//   x [..., D], weight [D]; y like x. Rows are independent of each other, bitwise.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

Tensor rms_norm(const Tensor& x, const Tensor& weight_D, double eps, double offset = 0);
Tensor rms_norm_ref(const Tensor& x, const Tensor& weight_D, double eps, double offset = 0);

}  // namespace r1::ops
