#include "r1/ops/add_norm.h"
#include "r1/ops/layer_norm.h"
#include "r1/ops/norm.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

AddNormed add_rms_norm_ref(const Tensor& x, const Tensor& delta, const Tensor& weight_D, double eps, double offset) {
  const Tensor sum = x + delta;
  return {sum, rms_norm_ref(sum, weight_D, eps, offset)};
}

AddNormed add_layer_norm_ref(const Tensor& x, const Tensor& delta, const Tensor& weight_D, const Tensor& bias_D, double eps) {
  const Tensor sum = x + delta;
  return {sum, layer_norm_ref(sum, weight_D, bias_D, eps)};
}

}  // namespace r1::ops
