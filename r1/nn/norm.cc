#include "r1/nn/norm.h"

#include "r1/ops/layer_norm.h"
#include "r1/ops/norm.h"
#include "r1/tensor/aten.h"

namespace r1::nn {

Tensor RmsNorm::operator()(const Tensor& x) const {
  return ops::rms_norm(x, weight_D_, eps_, offset_);
}

ops::AddNormed Norm::add(const Tensor& x, const Tensor& delta, const LayerContext& context) const {
  const Tensor sum = x + delta;
  return {sum, (*this)(sum, context)};
}

ops::AddNormed RmsNorm::add(const Tensor& x, const Tensor& delta, const LayerContext&) const {
  return ops::add_rms_norm(x, delta, weight_D_, eps_, offset_);
}

ops::AddNormed LayerNorm::add(const Tensor& x, const Tensor& delta, const LayerContext&) const {
  return ops::add_layer_norm(x, delta, weight_D_, bias_D_, eps_);
}

Tensor LayerNorm::operator()(const Tensor& x, const LayerContext&) const {
  return ops::layer_norm(x, weight_D_, bias_D_, eps_);
}

void LayerNorm::parameters(ParameterList list, const std::string& name) {
  list.add(name, weight_D_);
  list.add(name + "_bias", bias_D_);
}

}  // namespace r1::nn
