#include "r1/ops/layer_norm.h"

#include <ATen/core/grad_mode.h>

#include <optional>

#include "r1/base/error.h"
#include "r1/kernels/cpu/layer_norm.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/norm_cuda.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

using Gelu = std::optional<GeluForm>;  // after the norm; none: no GELU

void check_shapes(const char* op, const Tensor& x, const Tensor& weight_D, const Tensor& bias_D) {
  check(x.dim() >= 1 && weight_D.dim() == 1 && weight_D.sizes() == bias_D.sizes() && x.size(-1) == weight_D.size(0), "[", op,
        "] expected x [..., D], weight and bias [D], got ", x.sizes(), ", ", weight_D.sizes(), " and ", bias_D.sizes());
}

// saved: x, weight, bias, mean, rstd
Tensors backward(const Tensor& dy, const Tensors& saved, const Wanted& want, Gelu gelu) {
  const Tensor &x = saved[0], &weight_D = saved[1], dy_dense = dy.contiguous();
  const auto sum_place = [&](bool wanted) { return wanted ? aten::empty(weight_D.sizes(), x.options().dtype(at::kFloat)) : Tensor(); };
  Tensor dx = aten::empty_like(x), dweight_D = sum_place(want[1]), dbias_D = sum_place(want[2]);
  kernels::layer_norm_backward({.x = const_rows(x),
                                .weight = const_rows(weight_D),
                                .bias = const_rows(saved[2]),
                                .dy = const_rows(dy_dense),
                                .mean = saved[3].const_data_ptr<float>(),
                                .rstd = saved[4].const_data_ptr<float>(),
                                .dx = rows(dx),
                                .dweight = want[1] ? dweight_D.mutable_data_ptr<float>() : nullptr,
                                .dbias = want[2] ? dbias_D.mutable_data_ptr<float>() : nullptr,
                                .rows = x.numel() / x.size(-1),
                                .dim = x.size(-1),
                                .gelu = gelu.has_value(),
                                .form = kernel_form(gelu.value_or(GeluForm::kTanh))});
  const auto narrow = [&](const Tensor& t) { return t.defined() ? t.to(weight_D.scalar_type()) : t; };
  return {dx, narrow(dweight_D), narrow(dbias_D)};
}

Tensor layer_norm_cpu(const char* name, const Tensor& x, const Tensor& weight_D, const Tensor& bias_D, double eps, Gelu gelu) {
  const bool graph = needs_grad({x, weight_D, bias_D});
  Tensor dense, y, mean, rstd;
  {
    const at::NoGradGuard no_grad;
    dense = x.contiguous(), y = aten::empty_like(dense);
    const int64_t count = x.numel() / x.size(-1);
    if (graph) mean = aten::empty({count}, x.options().dtype(at::kFloat)), rstd = aten::empty_like(mean);
    kernels::layer_norm({.x = const_rows(dense),
                         .weight = const_rows(weight_D),
                         .bias = const_rows(bias_D),
                         .y = rows(y),
                         .mean = graph ? mean.mutable_data_ptr<float>() : nullptr,
                         .rstd = graph ? rstd.mutable_data_ptr<float>() : nullptr,
                         .rows = count,
                         .dim = x.size(-1),
                         .eps = float(eps),
                         .gelu = gelu.has_value(),
                         .form = kernel_form(gelu.value_or(GeluForm::kTanh))});
  }
  if (!graph) return y;
  return differentiable(name, y, {x, weight_D, bias_D}, {dense, weight_D, bias_D, mean, rstd},
                        [gelu](const Tensor& dy, const Tensors& saved, const Wanted& want) { return backward(dy, saved, want, gelu); });
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight_D, const Tensor& bias_D, double eps) {
  check_shapes("layer_norm", x, weight_D, bias_D);
  if (has_cpu_kernels(x)) return layer_norm_cpu("layer_norm", x, weight_D, bias_D, eps, {});
  if (takes_norm_kernel(x, weight_D, bias_D)) return norm_cuda({"layer_norm", NormKind::kLayer, eps}, x, weight_D, bias_D);
  return layer_norm_ref(x, weight_D, bias_D, eps);
}

Tensor layer_norm_gelu(const Tensor& x, const Tensor& weight_D, const Tensor& bias_D, double eps, GeluForm form) {
  check_shapes("layer_norm_gelu", x, weight_D, bias_D);
  if (has_cpu_kernels(x)) return layer_norm_cpu("layer_norm_gelu", x, weight_D, bias_D, eps, form);
  if (x.is_cuda()) return gelu(layer_norm(x, weight_D, bias_D, eps), form);
  return layer_norm_gelu_ref(x, weight_D, bias_D, eps, form);
}

}  // namespace r1::ops
