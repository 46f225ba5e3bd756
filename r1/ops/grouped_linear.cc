#include "r1/ops/grouped_linear.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/ops/autograd.h"
#include "r1/ops/linear_cpu.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// _grouped_mm wants bf16 and rows that are multiples of 16 bytes.
bool has_grouped_product(const Tensor& x_SI, const Tensor& weight_EOI) {
  return x_SI.is_cuda() && x_SI.scalar_type() == at::kBFloat16 && weight_EOI.size(1) % 8 == 0 && weight_EOI.size(2) % 8 == 0;
}

// f(e, begin, count) for the experts that have rows.
template <class F>
void for_experts(const Tensor& ends_E, F f) {
  const Tensor ends = ends_E.to(at::kCPU);
  int64_t begin = 0;
  for (int64_t e = 0; e < ends.size(0); ++e) {
    const int64_t end = ends.const_data_ptr<int32_t>()[e];
    if (end > begin) f(e, begin, end - begin);
    begin = end;
  }
}

Tensor forward(const Tensor& x_SI, const Tensor& weight_EOI, const Tensor& ends_E) {
  if (has_grouped_product(x_SI, weight_EOI)) return aten::_grouped_mm(x_SI, weight_EOI.transpose(1, 2), ends_E);
  const Tensor y_SO = aten::empty({x_SI.size(0), weight_EOI.size(1)}, x_SI.options());
  for_experts(ends_E, [&](int64_t e, int64_t begin, int64_t count) {
    const Tensor y = y_SO.narrow(0, begin, count), x = x_SI.narrow(0, begin, count), weight = weight_EOI.select(0, e);
    has_cpu_products(x) ? linear_into(y, x, weight) : void(y.copy_(aten::linear(x, weight)));
  });
  return y_SO;
}

Tensor grad_x(const Tensor& dy_SO, const Tensor& weight_EOI, const Tensor& ends_E) {
  if (has_grouped_product(dy_SO, weight_EOI)) return aten::_grouped_mm(dy_SO, weight_EOI, ends_E);
  const Tensor dx_SI = aten::empty({dy_SO.size(0), weight_EOI.size(2)}, dy_SO.options());
  for_experts(ends_E, [&](int64_t e, int64_t begin, int64_t count) {
    const Tensor dx = dx_SI.narrow(0, begin, count), dy = dy_SO.narrow(0, begin, count), weight = weight_EOI.select(0, e);
    has_cpu_products(dy) ? linear_grad_x_into(dx, dy, weight) : void(dx.copy_(aten::matmul(dy, weight)));
  });
  return dx_SI;
}

// An expert without rows gets a gradient of zero.
Tensor grad_weight(const Tensor& dy_SO, const Tensor& x_SI, const Tensor& weight_EOI, const Tensor& ends_E) {
  if (has_grouped_product(x_SI, weight_EOI)) return aten::_grouped_mm(dy_SO.t(), x_SI, ends_E);
  const Tensor dw_EOI = aten::zeros(weight_EOI.sizes(), weight_EOI.options());
  for_experts(ends_E, [&](int64_t e, int64_t begin, int64_t count) {
    const Tensor dw = dw_EOI.select(0, e), dy = dy_SO.narrow(0, begin, count), x = x_SI.narrow(0, begin, count);
    has_cpu_products(x) ? linear_grad_w_into(dw, dy, x) : void(dw.copy_(aten::matmul(dy.t(), x)));
  });
  return dw_EOI;
}

}  // namespace

Tensor grouped_linear(const Tensor& x_SI, const Tensor& weight_EOI, const Tensor& ends_E) {
  check(x_SI.dim() == 2 && weight_EOI.dim() == 3 && x_SI.size(1) == weight_EOI.size(2),
        "[grouped_linear] expected x [S, I] and weight [E, O, I], got ", x_SI.sizes(), " and ", weight_EOI.sizes());
  check(ends_E.dim() == 1 && ends_E.size(0) == weight_EOI.size(0) && ends_E.scalar_type() == at::kInt,
        "[grouped_linear] expected int32 ends [", weight_EOI.size(0), "], got ", ends_E.scalar_type(), " ", ends_E.sizes());
  check(x_SI.scalar_type() == weight_EOI.scalar_type(), "[grouped_linear] expected one dtype, got x ", x_SI.scalar_type(), " and weight ",
        weight_EOI.scalar_type());
  Tensor x, weight, y_SO;
  {
    const at::NoGradGuard no_grad;
    x = x_SI.contiguous(), weight = weight_EOI.contiguous();
    y_SO = forward(x, weight, ends_E);
  }
  if (!needs_grad({x_SI, weight_EOI})) return y_SO;
  return differentiable("grouped_linear", y_SO, {x_SI, weight_EOI}, {x, weight, ends_E},
                        [](const Tensor& dy, const Tensors& saved, const Wanted& want) {
                          const Tensor dy_SO = dy.contiguous();
                          return Tensors{want[0] ? grad_x(dy_SO, saved[1], saved[2]) : Tensor(),
                                         want[1] ? grad_weight(dy_SO, saved[0], saved[1], saved[2]) : Tensor()};
                        });
}

}  // namespace r1::ops
