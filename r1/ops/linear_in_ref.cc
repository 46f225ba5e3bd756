
#include "r1/ops/linear_in.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor linear_in_ref(const Tensor& x_TI, const Tensor& weight_IO) {
  return aten::matmul(x_TI, weight_IO);
}

}  // namespace r1::ops
