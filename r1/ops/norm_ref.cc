#include <ATen/TensorOperators.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rsqrt.h>

#include "r1/ops/norm.h"

namespace r1::ops {

Tensor rms_norm_ref(const Tensor& x, const Tensor& weight_D, double eps) {
  const Tensor x32 = x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  const Tensor scale = at::rsqrt(at::mean(x32 * x32, {-1}, /*keepdim=*/true) + eps);
  return (x32 * scale).to(x.scalar_type()) * weight_D;
}

}  // namespace r1::ops
