#include "r1/ops/linear.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/linear.h>

#include "r1/base/error.h"

namespace r1::ops {

Tensor linear(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O) {
  check(x_TI.dim() == 2 && weight_OI.dim() == 2 && x_TI.size(1) == weight_OI.size(1), "[linear] expected x [T, I] and weight [O, I], got ",
        x_TI.sizes(), " and ", weight_OI.sizes());
  check(!bias_O.defined() || (bias_O.dim() == 1 && bias_O.size(0) == weight_OI.size(0)), "[linear] expected bias [", weight_OI.size(0),
        "], got ", bias_O.sizes());
  check(x_TI.scalar_type() == weight_OI.scalar_type(), "[linear] expected one dtype, got x ", x_TI.scalar_type(), " and weight ",
        weight_OI.scalar_type());
  const int64_t rows = x_TI.size(0), pad = (8 - rows % 8) % 8;
  // ATen's fp32 product picks another kernel, with another order of summation, for few or odd numbers of rows.
  if (x_TI.is_cpu() && x_TI.scalar_type() == at::kFloat && pad != 0) {
    return at::linear(at::constant_pad_nd(x_TI, {0, 0, 0, pad}), weight_OI, bias_O).narrow(0, 0, rows);
  }
  return at::linear(x_TI, weight_OI, bias_O);
}

}  // namespace r1::ops
