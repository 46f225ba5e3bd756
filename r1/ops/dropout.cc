#include "r1/ops/dropout.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/kernels/cpu/dropout.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor dropout(const Tensor& x, double p, uint64_t seed, uint64_t stream) {
  check(p >= 0 && p < 1, "[dropout] expected p in [0, 1), got ", p);
  if (p == 0) return x;
  if (!has_cpu_kernels(x)) return dropout_ref(x, p, seed, stream);
  const auto masked = [p, seed, stream](const Tensor& t) {
    const Tensor dense = t.contiguous();
    Tensor y = aten::empty_like(dense);
    kernels::dropout({.x = dense.const_data_ptr(),
                      .y = y.mutable_data_ptr(),
                      .type = kernel_float(t.scalar_type()),
                      .n = t.numel(),
                      .p = p,
                      .seed = seed,
                      .stream = stream});
    return y;
  };
  Tensor y;
  {
    const at::NoGradGuard no_grad;
    y = masked(x);
  }
  if (!needs_grad({x})) return y;
  return differentiable("dropout", y, {x}, {}, [masked](const Tensor& dy, const Tensors&, const Wanted&) { return Tensors{masked(dy)}; });
}

}  // namespace r1::ops
