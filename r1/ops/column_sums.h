// out_O = sum over t of x_TO[t]: the gradient of a bias, without a gradient of its own. On CUDA summed in fp32, in an order that depends on
// the shape alone, and rounded once.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

Tensor column_sums(const Tensor& x_TO);

}  // namespace r1::ops
