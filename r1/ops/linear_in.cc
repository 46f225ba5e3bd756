#include "r1/ops/linear_in.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/kernels/cpu/gemm_bf16.h"
#include "r1/kernels/cpu/linear_in.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/linear_cpu.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// dx = dy w^T
Tensor grad_x(const Tensor& dy_TO, const Tensor& weight_IO) {
  const int64_t in = weight_IO.size(0), out = weight_IO.size(1);
  Tensor dx_TI = aten::empty({dy_TO.size(0), in}, dy_TO.options());
  kernels::gemm_mixed({.a = {dy_TO.const_data_ptr(), kernel_float(dy_TO.scalar_type()), out, 1},
                       .b = {weight_IO.const_data_ptr(), kernel_float(weight_IO.scalar_type()), 1, out},
                       .c = rows(dx_TI),
                       .rows = dy_TO.size(0),
                       .cols = in,
                       .sum = out});
  return dx_TI;
}

// dw = x^T dy: linear's, with x and dy in each other's place.
Tensor grad_weight(const Tensor& dy_TO, const Tensor& x_TI) {
  const Tensor dw_IO = aten::empty({x_TI.size(1), dy_TO.size(1)}, dy_TO.options());
  linear_grad_w_into(dw_IO, x_TI, dy_TO);
  return dw_IO;
}

Tensor forward(const Tensor& x_TI, const Tensor& weight_IO) {
  const Tensor wide_TI = x_TI.to(at::kFloat);
  Tensor y_TO = aten::empty({x_TI.size(0), weight_IO.size(1)}, x_TI.options());
  kernels::linear_in({.x = wide_TI.const_data_ptr<float>(),
                      .w = const_rows(weight_IO),
                      .y = rows(y_TO),
                      .rows = x_TI.size(0),
                      .in = x_TI.size(1),
                      .out = weight_IO.size(1)});
  return y_TO;
}

Tensors backward(const Tensor& dy, const Tensors& saved, const Wanted& want) {
  const Tensor dy_TO = dy.contiguous();
  return {want[0] ? grad_x(dy_TO, saved[1]) : Tensor(), want[1] ? grad_weight(dy_TO, saved[0]) : Tensor()};
}

// Where ATen has the CPU's instruction for it.
Tensors backward_aten(const Tensor& dy_TO, const Tensors& saved, const Wanted& want) {
  return {want[0] ? aten::linear(dy_TO, saved[1]) : Tensor(), want[1] ? aten::matmul(saved[0].t(), dy_TO) : Tensor()};
}

}  // namespace

Tensor linear_in(const Tensor& x_TI, const Tensor& weight_IO) {
  check(x_TI.dim() == 2 && weight_IO.dim() == 2 && x_TI.size(1) == weight_IO.size(0),
        "[linear_in] expected x [T, I] and weight [I, O], got ", x_TI.sizes(), " and ", weight_IO.sizes());
  check(x_TI.scalar_type() == weight_IO.scalar_type(), "[linear_in] expected one dtype, got x ", x_TI.scalar_type(), " and weight ",
        weight_IO.scalar_type());
  if (!has_cpu_kernels(x_TI)) return aten::matmul(x_TI, weight_IO);
  Tensor x, weight, y_TO;
  {
    const at::NoGradGuard no_grad;
    x = x_TI.contiguous(), weight = weight_IO.contiguous();
    y_TO = forward(x, weight);
  }
  if (!needs_grad({x_TI, weight_IO})) return y_TO;
  return differentiable("linear_in", y_TO, {x_TI, weight_IO}, {x, weight}, has_cpu_products(x) ? backward : backward_aten);
}

}  // namespace r1::ops
