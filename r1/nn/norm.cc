#include "r1/nn/norm.h"

#include "r1/ops/norm.h"

namespace r1::nn {

Tensor RmsNorm::operator()(const Tensor& x) const {
  return ops::rms_norm(x, weight_D_, eps_);
}

}  // namespace r1::nn
