
#include "r1/ops/linear.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor linear_ref(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O) {
  const Tensor y_TO = aten::matmul(x_TI, weight_OI.t());
  return bias_O.defined() ? y_TO + bias_O : y_TO;
}

}  // namespace r1::ops
