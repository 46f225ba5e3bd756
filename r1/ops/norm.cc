#include "r1/ops/norm.h"

#include "r1/base/error.h"

namespace r1::ops {

Tensor rms_norm(const Tensor& x, const Tensor& weight_D, double eps) {
  check(weight_D.dim() == 1 && x.dim() >= 1 && x.size(-1) == weight_D.size(0), "[rms_norm] expected x [..., D] and weight [D], got ",
        x.sizes(), " and ", weight_D.sizes());
  return rms_norm_ref(x, weight_D, eps);
}

}  // namespace r1::ops
