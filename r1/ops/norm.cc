#include "r1/ops/norm.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/kernels/cpu/norm.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/norm_cuda.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

Tensors backward(const Tensor& dy, const Tensors& saved, const Wanted& want, double offset) {
  const Tensor &x = saved[0], &weight_D = saved[1], dy_dense = dy.contiguous();
  Tensor dx = aten::empty_like(x), dweight_D = want[1] ? aten::empty(weight_D.sizes(), x.options().dtype(at::kFloat)) : Tensor();
  kernels::rms_norm_backward({.x = const_rows(x),
                              .weight = const_rows(weight_D),
                              .dy = const_rows(dy_dense),
                              .rstd = saved[2].const_data_ptr<float>(),
                              .dx = rows(dx),
                              .dweight = want[1] ? dweight_D.mutable_data_ptr<float>() : nullptr,
                              .rows = x.numel() / x.size(-1),
                              .dim = x.size(-1),
                              .offset = float(offset)});
  return {dx, want[1] ? dweight_D.to(weight_D.scalar_type()) : Tensor()};
}

Tensor rms_norm_cpu(const Tensor& x, const Tensor& weight_D, double eps, double offset) {
  const bool graph = needs_grad({x, weight_D});
  Tensor dense, y, rstd;
  {
    const at::NoGradGuard no_grad;
    dense = x.contiguous(), y = aten::empty_like(dense);
    const int64_t count = x.numel() / x.size(-1);
    if (graph) rstd = aten::empty({count}, x.options().dtype(at::kFloat));
    kernels::rms_norm({.x = const_rows(dense),
                       .weight = const_rows(weight_D),
                       .y = rows(y),
                       .rstd = graph ? rstd.mutable_data_ptr<float>() : nullptr,
                       .rows = count,
                       .dim = x.size(-1),
                       .eps = float(eps),
                       .offset = float(offset)});
  }
  if (!graph) return y;
  return differentiable("rms_norm", y, {x, weight_D}, {dense, weight_D, rstd},
                        [offset](const Tensor& dy, const Tensors& saved, const Wanted& want) { return backward(dy, saved, want, offset); });
}

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight_D, double eps, double offset) {
  check(weight_D.dim() == 1 && x.dim() >= 1 && x.size(-1) == weight_D.size(0), "[rms_norm] expected x [..., D] and weight [D], got ",
        x.sizes(), " and ", weight_D.sizes());
  if (has_cpu_kernels(x)) return rms_norm_cpu(x, weight_D, eps, offset);
  if (takes_norm_kernel(x, weight_D)) return norm_cuda({"rms_norm", NormKind::kRms, eps, offset}, x, weight_D);
  return rms_norm_ref(x, weight_D, eps, offset);
}

}  // namespace r1::ops
