
#include "r1/ops/norm.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor rms_norm_ref(const Tensor& x, const Tensor& weight_D, double eps, double offset) {
  const auto wide = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const Tensor x32 = x.to(wide);
  const Tensor scale = aten::rsqrt(aten::mean(x32 * x32, {-1}, /*keepdim=*/true) + eps);
  return (x32 * scale * (weight_D.to(wide) + offset)).to(x.scalar_type());
}

}  // namespace r1::ops
