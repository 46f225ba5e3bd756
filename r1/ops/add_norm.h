// The residual stream's step: a layer's result is added to it, and the next layer reads its norm.
//   sum = x + delta, rounded to their dtype;  normed = the norm of sum (ops/norm.h, ops/layer_norm.h)
// On CUDA one pass over x and delta, and one in the backward, which takes the gradients of both results together. On the CPU x + delta and
// then the norm's op, bit for bit.
//   x, delta [..., D] of one shape and dtype; weight, bias [D]; sum and normed like x. Rows are independent of each other, bitwise.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

struct AddNormed {
  Tensor sum, normed;
};

AddNormed add_rms_norm(const Tensor& x, const Tensor& delta, const Tensor& weight_D, double eps, double offset = 0);
AddNormed add_rms_norm_ref(const Tensor& x, const Tensor& delta, const Tensor& weight_D, double eps, double offset = 0);

AddNormed add_layer_norm(const Tensor& x, const Tensor& delta, const Tensor& weight_D, const Tensor& bias_D, double eps);
AddNormed add_layer_norm_ref(const Tensor& x, const Tensor& delta, const Tensor& weight_D, const Tensor& bias_D, double eps);

}  // namespace r1::ops
