#include "r1/ops/head_product.h"

#include "r1/base/error.h"
#include "r1/kernels/cpu/gemm_bf16.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

Tensor head_product_cpu(const Tensor& x_TNI, const Tensor& w_NIO) {
  const int64_t tokens = x_TNI.size(0), heads = x_TNI.size(1), in = x_TNI.size(2), out = w_NIO.size(2);
  Tensor y_TNO = aten::empty({tokens, heads, out}, x_TNI.options());
  const kernels::Float type = kernel_float(x_TNI.scalar_type());
  const auto head = [&](const Tensor& t, int64_t dim, int64_t n) {
    return static_cast<const char*>(t.const_data_ptr()) + n * t.stride(dim) * t.element_size();
  };
  for (int64_t n = 0; n < heads; ++n) {
    kernels::gemm_mixed({.a = {head(x_TNI, 1, n), type, x_TNI.stride(0), 1},
                         .b = {head(w_NIO, 0, n), type, w_NIO.stride(1), w_NIO.stride(2)},
                         .c = {static_cast<char*>(y_TNO.mutable_data_ptr()) + n * out * y_TNO.element_size(), type, heads * out},
                         .rows = tokens,
                         .cols = out,
                         .sum = in});
  }
  return y_TNO;
}

}  // namespace

Tensor head_product(const Tensor& x_TNI, const Tensor& w_NIO) {
  check(x_TNI.dim() == 3 && w_NIO.dim() == 3 && x_TNI.size(1) == w_NIO.size(0) && x_TNI.size(2) == w_NIO.size(1),
        "[head_product] expected x [T, N, I] and w [N, I, O], got ", x_TNI.sizes(), " and ", w_NIO.sizes());
  check(x_TNI.scalar_type() == w_NIO.scalar_type(), "[head_product] expected one dtype, got x ", x_TNI.scalar_type(), " and w ",
        w_NIO.scalar_type());
  check(!needs_grad({x_TNI, w_NIO}), "[head_product] has no gradient: run it under no_grad");
  if (!has_cpu_products(x_TNI)) return head_product_ref(x_TNI, w_NIO);
  const Tensor x = x_TNI.stride(2) == 1 ? x_TNI : x_TNI.contiguous();
  return head_product_cpu(x, w_NIO.stride(1) == 1 || w_NIO.stride(2) == 1 ? w_NIO : w_NIO.contiguous());
}

}  // namespace r1::ops
