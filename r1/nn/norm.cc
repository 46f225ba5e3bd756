#include "r1/nn/norm.h"

#include "r1/ops/layer_norm.h"
#include "r1/ops/norm.h"

namespace r1::nn {

Tensor RmsNorm::operator()(const Tensor& x) const {
  return ops::rms_norm(x, weight_D_, eps_, offset_);
}

Tensor LayerNorm::operator()(const Tensor& x, const LayerContext&) const {
  return ops::layer_norm(x, weight_D_, bias_D_, eps_);
}

void LayerNorm::parameters(ParameterList list, const std::string& name) {
  list.add(name, weight_D_);
  list.add(name + "_bias", bias_D_);
}

}  // namespace r1::nn
