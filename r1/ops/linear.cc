#include "r1/ops/linear.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/kernels/cpu/gemm_bf16.h"
#include "r1/kernels/cpu/gemm_f32.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

Tensor forward(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O) {
  const int64_t rows = x_TI.size(0), in = x_TI.size(1), out = weight_OI.size(0);
  Tensor y_TO = aten::empty({rows, out}, x_TI.options());
  kernels::linear_forward({.x = x_TI.const_data_ptr<float>(),
                           .w = weight_OI.const_data_ptr<float>(),
                           .bias = bias_O.defined() ? bias_O.const_data_ptr<float>() : nullptr,
                           .y = y_TO.mutable_data_ptr<float>(),
                           .rows = rows,
                           .in = in,
                           .out = out});
  return y_TO;
}

Tensor grad_x(const Tensor& dy_TO, const Tensor& weight_OI) {
  Tensor dx_TI = aten::empty({dy_TO.size(0), weight_OI.size(1)}, dy_TO.options());
  kernels::linear_grad_x({.dy = dy_TO.const_data_ptr<float>(),
                          .w = weight_OI.const_data_ptr<float>(),
                          .dx = dx_TI.mutable_data_ptr<float>(),
                          .rows = dy_TO.size(0),
                          .in = weight_OI.size(1),
                          .out = weight_OI.size(0)});
  return dx_TI;
}

Tensor grad_weight(const Tensor& dy_TO, const Tensor& x_TI) {
  Tensor dw_OI = aten::empty({dy_TO.size(1), x_TI.size(1)}, dy_TO.options());
  kernels::linear_grad_w({.dy = dy_TO.const_data_ptr<float>(),
                          .x = x_TI.const_data_ptr<float>(),
                          .dw = dw_OI.mutable_data_ptr<float>(),
                          .rows = dy_TO.size(0),
                          .in = x_TI.size(1),
                          .out = dy_TO.size(1)});
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

bool is_aligned(const Tensor& t) {
  return reinterpret_cast<uintptr_t>(t.const_data_ptr()) % 4 == 0;
}

Tensor forward_bf16(const Tensor& x_TI, const Tensor& weight_OI) {
  Tensor y_TO = aten::empty({x_TI.size(0), weight_OI.size(0)}, x_TI.options());
  kernels::linear_forward_bf16({.x = static_cast<const uint16_t*>(x_TI.const_data_ptr()),
                                .w = static_cast<const uint16_t*>(weight_OI.const_data_ptr()),
                                .y = rows(y_TO),
                                .rows = x_TI.size(0),
                                .in = x_TI.size(1),
                                .out = weight_OI.size(0)});
  return y_TO;
}

Tensors backward_bf16(const Tensor& dy_TO, const Tensors& saved, const Wanted& want) {
  return {want[0] ? aten::matmul(dy_TO, saved[1]) : Tensor(), want[1] ? aten::matmul(dy_TO.t(), saved[0]) : Tensor()};
}

}  // namespace

bool has_ordered_sums(const Tensor& weight_OI) {
  if (!has_cpu_kernels(weight_OI)) return false;
  return weight_OI.scalar_type() == at::kFloat || (weight_OI.size(1) % 2 == 0 && weight_OI.is_contiguous() && is_aligned(weight_OI));
}

Tensor linear_ordered(const Tensor& x_TI, const Tensor& weight_OI) {
  if (weight_OI.scalar_type() != at::kBFloat16 || !has_ordered_sums(weight_OI)) return ops::linear(x_TI, weight_OI);
  check(x_TI.dim() == 2 && weight_OI.dim() == 2 && x_TI.size(1) == weight_OI.size(1) && x_TI.scalar_type() == at::kBFloat16,
        "[linear_ordered] expected x [T, I] and weight [O, I] of one dtype, got ", x_TI.sizes(), " ", x_TI.scalar_type(), " and ",
        weight_OI.sizes(), " bfloat16");
  Tensor x, y_TO;
  {
    const at::NoGradGuard no_grad;
    x = x_TI.contiguous();
    if (!is_aligned(x)) x = x.clone();
    y_TO = forward_bf16(x, weight_OI);
  }
  if (!needs_grad({x_TI, weight_OI})) return y_TO;
  return differentiable("linear_ordered", y_TO, {x_TI, weight_OI}, {x, weight_OI}, backward_bf16);
}

Tensor linear(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O) {
  check(x_TI.dim() == 2 && weight_OI.dim() == 2 && x_TI.size(1) == weight_OI.size(1), "[linear] expected x [T, I] and weight [O, I], got ",
        x_TI.sizes(), " and ", weight_OI.sizes());
  check(!bias_O.defined() || (bias_O.dim() == 1 && bias_O.size(0) == weight_OI.size(0)), "[linear] expected bias [", weight_OI.size(0),
        "], got ", bias_O.sizes());
  check(x_TI.scalar_type() == weight_OI.scalar_type(), "[linear] expected one dtype, got x ", x_TI.scalar_type(), " and weight ",
        weight_OI.scalar_type());
  if (!x_TI.is_cpu() || x_TI.scalar_type() != at::kFloat) return aten::linear(x_TI, weight_OI, bias_O);
  Tensor x, weight, y_TO;
  {
    const at::NoGradGuard no_grad;
    x = x_TI.contiguous(), weight = weight_OI.contiguous();
    y_TO = forward(x, weight, bias_O);
  }
  if (!needs_grad({x_TI, weight_OI, bias_O})) return y_TO;
  return differentiable("linear", y_TO, {x_TI, weight_OI, bias_O}, {x, weight}, backward);
}

}  // namespace r1::ops
