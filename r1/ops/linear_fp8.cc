#include "r1/ops/linear_fp8.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/kernels/cuda/fp8.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/tensor/aten_fp8.h"

namespace r1::ops {

namespace {

constexpr int64_t kMultiple = 16;

struct Cast {
  Tensor by_rows, by_columns, scale;
};

Cast cast(const Tensor& x, kernels::cuda::Fp8 type, bool by_rows, bool by_columns) {
  const auto options = x.options().requires_grad(false).dtype(type == kernels::cuda::Fp8::kE4m3 ? at::kFloat8_e4m3fn : at::kFloat8_e5m2);
  Cast c;
  if (by_rows) c.by_rows = aten::empty({x.size(0), x.size(1)}, options);
  if (by_columns) c.by_columns = aten::empty({x.size(1), x.size(0)}, options);
  const Tensor numbers = aten::empty({2}, options.dtype(at::kFloat));
  c.scale = numbers.select(0, 0);
  kernels::cuda::cast_fp8({.x = const_rows(x),
                           .rows = x.size(0),
                           .columns = x.size(1),
                           .type = type,
                           .by_rows = by_rows ? c.by_rows.mutable_data_ptr() : nullptr,
                           .by_columns = by_columns ? c.by_columns.mutable_data_ptr() : nullptr,
                           .largest = numbers.mutable_data_ptr<float>() + 1,
                           .scale = numbers.mutable_data_ptr<float>()},
                          kernel_stream(x.device()));
  return c;
}

}  // namespace

Tensor linear_fp8_forward(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O, Fp8Operands* kept) {
  const Cast x = cast(x_TI, kernels::cuda::Fp8::kE4m3, true, kept != nullptr);
  const Cast w = cast(weight_OI, kernels::cuda::Fp8::kE4m3, true, kept != nullptr);
  if (kept) *kept = {x.by_columns, w.by_columns, x.scale, w.scale};
  return aten::_scaled_mm(x.by_rows, w.by_rows.t(), x.scale, w.scale, bias_O, at::kBFloat16, /*use_fast_accum=*/true);
}

Fp8Gradients linear_fp8_backward(const Tensor& dy_TO, const Fp8Operands& kept, bool want_dx, bool want_dweight) {
  const Cast dy = cast(dy_TO, kernels::cuda::Fp8::kE5m2, want_dx, want_dweight);
  Fp8Gradients g;
  if (want_dx) g.dx_TI = aten::_scaled_mm(dy.by_rows, kept.weight_IO.t(), dy.scale, kept.weight_scale, {}, at::kBFloat16, false);
  if (want_dweight) g.dweight_OI = aten::_scaled_mm(dy.by_columns, kept.x_IT.t(), dy.scale, kept.x_scale, {}, at::kBFloat16, false);
  return g;
}

Tensor linear_fp8(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O) {
  check(takes_fp8(x_TI, weight_OI), "[linear_fp8] expected x [T, I] and weight [O, I], bf16 on CUDA, sizes multiples of ", kMultiple,
        ", got ", x_TI.scalar_type(), " ", x_TI.sizes(), " and ", weight_OI.scalar_type(), " ", weight_OI.sizes());
  const bool with_graph = needs_grad({x_TI, weight_OI, bias_O});
  Fp8Operands kept;
  Tensor y_TO;
  {
    const at::NoGradGuard no_grad;
    y_TO = linear_fp8_forward(x_TI.contiguous(), weight_OI.contiguous(), bias_O, with_graph ? &kept : nullptr);
  }
  if (!with_graph) return y_TO;
  return differentiable("linear_fp8", y_TO, {x_TI, weight_OI, bias_O}, {kept.x_IT, kept.weight_IO, kept.x_scale, kept.weight_scale},
                        [](const Tensor& dy, const Tensors& t, const Wanted& want) {
                          const Tensor dy_TO = dy.contiguous();
                          const Fp8Gradients g = linear_fp8_backward(dy_TO, {t[0], t[1], t[2], t[3]}, want[0], want[1]);
                          return Tensors{g.dx_TI, g.dweight_OI, want[2] ? dy_TO.sum(0) : Tensor()};
                        });
}

bool takes_fp8(const Tensor& x_TI, const Tensor& weight_OI) {
  const auto fits = [](const Tensor& t) {
    return t.is_cuda() && t.scalar_type() == at::kBFloat16 && t.dim() == 2 && t.size(0) % kMultiple == 0 && t.size(1) % kMultiple == 0 &&
           t.numel() > 0;
  };
  return fits(x_TI) && fits(weight_OI) && x_TI.size(1) == weight_OI.size(1);
}

}  // namespace r1::ops
