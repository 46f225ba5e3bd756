
#include "r1/ops/head_product.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor head_product_ref(const Tensor& x_TNI, const Tensor& w_NIO) {
  return aten::matmul(x_TNI.transpose(0, 1), w_NIO).transpose(0, 1);
}

}  // namespace r1::ops
