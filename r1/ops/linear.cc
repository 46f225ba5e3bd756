#include "r1/ops/linear.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/kernels/cuda/gemv.h"
#include "r1/ops/autograd.h"
#include "r1/ops/column_sums.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/ops/linear_cpu.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

Tensor grad_x(const Tensor& dy_TO, const Tensor& weight_OI) {
  const Tensor dx_TI = aten::empty({dy_TO.size(0), weight_OI.size(1)}, weight_OI.options());
  linear_grad_x_into(dx_TI, dy_TO, weight_OI);
  return dx_TI;
}

Tensor grad_weight(const Tensor& dy_TO, const Tensor& x_TI) {
  const Tensor dw_OI = aten::empty({dy_TO.size(1), x_TI.size(1)}, x_TI.options());
  linear_grad_w_into(dw_OI, dy_TO, x_TI);
  return dw_OI;
}

// The bias is the weight of an input that is always 1; at::sum's order depends on the threads.
Tensor grad_bias(const Tensor& dy_TO) {
  return grad_weight(dy_TO, aten::ones({dy_TO.size(0), 1}, dy_TO.options())).view({dy_TO.size(1)});
}

Tensors backward(const Tensor& dy, const Tensors& saved, const Wanted& want) {
  const Tensor dy_TO = dy.contiguous();
  return {want[0] ? grad_x(dy_TO, saved[1]) : Tensor(), want[1] ? grad_weight(dy_TO, saved[0]) : Tensor(),
          want[2] ? grad_bias(dy_TO) : Tensor()};
}

// Where the products are ATen's otherwise.
Tensors backward_aten(const Tensor& dy_TO, const Tensors& saved, const Wanted& want) {
  return {want[0] ? aten::matmul(dy_TO, saved[1]) : Tensor(), want[1] ? aten::matmul(dy_TO.t(), saved[0]) : Tensor(),
          want[2] ? column_sums(dy_TO) : Tensor()};
}

void check_shapes(const char* op, const Tensor& x_TI, const Tensor& weight_OI) {
  check(x_TI.dim() == 2 && weight_OI.dim() == 2 && x_TI.size(1) == weight_OI.size(1), "[", op,
        "] expected x [T, I] and weight [O, I], got ", x_TI.sizes(), " and ", weight_OI.sizes());
  check(x_TI.scalar_type() == weight_OI.scalar_type(), "[", op, "] expected one dtype, got x ", x_TI.scalar_type(), " and weight ",
        weight_OI.scalar_type());
}

// By the kernels, y in `type`.
Tensor linear_cpu(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O, at::ScalarType type, const Backward& back) {
  Tensor x, weight, y_TO;
  {
    const at::NoGradGuard no_grad;
    x = x_TI.contiguous(), weight = weight_OI.contiguous();
    y_TO = aten::empty({x.size(0), weight.size(0)}, x.options().dtype(type));
    linear_into(y_TO, x, weight, bias_O);
  }
  if (!needs_grad({x_TI, weight_OI, bias_O})) return y_TO;
  return differentiable("linear", y_TO, {x_TI, weight_OI, bias_O}, {x, weight}, back);
}

// A few rows on a GPU; y in `type`. Undefined where ATen's product is to be taken.
Tensor linear_few_rows(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O, at::ScalarType type) {
  if (!has_cuda_kernels(x_TI) || x_TI.size(0) > kernels::cuda::kGemvRows || x_TI.stride(1) != 1 || !weight_OI.is_contiguous() ||
      (bias_O.defined() && !bias_O.is_contiguous()))
    return {};
  kernels::cuda::Gemv product{.x = x_TI.const_data_ptr(),
                              .x_stride = x_TI.stride(0),
                              .weight = weight_OI.const_data_ptr(),
                              .bias = bias_O.defined() ? bias_O.const_data_ptr() : nullptr,
                              .type = kernel_float(x_TI.scalar_type()),
                              .y_type = kernel_float(type),
                              .rows = x_TI.size(0),
                              .in = x_TI.size(1),
                              .out = weight_OI.size(0)};
  if (!kernels::cuda::takes_gemv(product)) return {};
  Tensor y_TO;
  {
    const at::NoGradGuard no_grad;
    y_TO = aten::empty({product.rows, product.out}, x_TI.options().dtype(type));
    product.y = y_TO.mutable_data_ptr();
    kernels::cuda::gemv(product, kernel_stream(x_TI.device()));
  }
  if (!needs_grad({x_TI, weight_OI, bias_O})) return y_TO;
  return differentiable("linear", y_TO, {x_TI, weight_OI, bias_O}, {x_TI, weight_OI},
                        [own = x_TI.scalar_type()](const Tensor& dy_TO, const Tensors& saved, const Wanted& want) {
                          return backward_aten(dy_TO.to(own), saved, want);
                        });
}

// On a device ATen's products, but the gradient of the bias by a kernel.
Tensor linear_biased_cuda(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O) {
  Tensor y_TO;
  {
    const at::NoGradGuard no_grad;
    y_TO = aten::linear(x_TI, weight_OI, bias_O);
  }
  return differentiable("linear", y_TO, {x_TI, weight_OI, bias_O}, {x_TI, weight_OI}, backward_aten);
}

}  // namespace

bool has_ordered_sums(const Tensor& weight_OI) {
  if (!has_cpu_kernels(weight_OI)) return false;
  const auto place = reinterpret_cast<uintptr_t>(weight_OI.const_data_ptr());
  return weight_OI.scalar_type() == at::kFloat || (weight_OI.size(1) % 2 == 0 && weight_OI.is_contiguous() && place % 4 == 0);
}

Tensor linear_ordered(const Tensor& x_TI, const Tensor& weight_OI) {
  if (weight_OI.scalar_type() != at::kBFloat16 || !has_cpu_kernels(weight_OI)) return ops::linear(x_TI, weight_OI);
  check_shapes("linear_ordered", x_TI, weight_OI);
  return linear_cpu(x_TI, weight_OI, {}, at::kBFloat16, has_cpu_products(weight_OI) ? backward : backward_aten);
}

Tensor linear_fp32(const Tensor& x_TI, const Tensor& weight_OI) {
  check_shapes("linear_fp32", x_TI, weight_OI);
  if (const Tensor y_TO = linear_few_rows(x_TI, weight_OI, {}, at::kFloat); y_TO.defined()) return y_TO;
  const bool half = x_TI.scalar_type() == at::kBFloat16 || x_TI.scalar_type() == at::kHalf;
  if (x_TI.is_cuda() && half && !needs_grad({x_TI, weight_OI})) return aten::mm(x_TI, weight_OI.t(), at::kFloat);
  return has_cpu_products(x_TI) ? linear_cpu(x_TI, weight_OI, {}, at::kFloat, backward) : aten::linear(x_TI, weight_OI).to(at::kFloat);
}

Tensor linear(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O) {
  check_shapes("linear", x_TI, weight_OI);
  check(!bias_O.defined() || (bias_O.dim() == 1 && bias_O.size(0) == weight_OI.size(0)), "[linear] expected bias [", weight_OI.size(0),
        "], got ", bias_O.sizes());
  if (const Tensor y_TO = linear_few_rows(x_TI, weight_OI, bias_O, x_TI.scalar_type()); y_TO.defined()) return y_TO;
  if (bias_O.defined() && has_cuda_kernels(x_TI) && bias_O.scalar_type() == x_TI.scalar_type() && needs_grad({x_TI, weight_OI, bias_O}))
    return linear_biased_cuda(x_TI, weight_OI, bias_O);
  return has_cpu_products(x_TI) ? linear_cpu(x_TI, weight_OI, bias_O, x_TI.scalar_type(), backward) : aten::linear(x_TI, weight_OI, bias_O);
}

}  // namespace r1::ops
