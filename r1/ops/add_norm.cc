#include "r1/ops/add_norm.h"

#include "r1/base/error.h"
#include "r1/ops/layer_norm.h"
#include "r1/ops/norm.h"
#include "r1/ops/norm_cuda.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

void check_terms(const char* op, const Tensor& x, const Tensor& delta) {
  check(x.sizes() == delta.sizes() && x.scalar_type() == delta.scalar_type() && x.device() == delta.device(), "[", op,
        "] expected x and delta of one shape, dtype and device, got ", x.scalar_type(), " ", x.sizes(), " and ", delta.scalar_type(), " ",
        delta.sizes());
}

}  // namespace

AddNormed add_rms_norm(const Tensor& x, const Tensor& delta, const Tensor& weight_D, double eps, double offset) {
  check_terms("add_rms_norm", x, delta);
  check(weight_D.dim() == 1 && x.dim() >= 1 && x.size(-1) == weight_D.size(0), "[add_rms_norm] expected x [..., D] and weight [D], got ",
        x.sizes(), " and ", weight_D.sizes());
  if (takes_norm_kernel(x, weight_D)) {
    const Tensors both = add_norm_cuda({"add_rms_norm", NormKind::kRms, eps, offset}, x, delta, weight_D);
    return {both[0], both[1]};
  }
  const Tensor sum = x + delta;
  return {sum, rms_norm(sum, weight_D, eps, offset)};
}

AddNormed add_layer_norm(const Tensor& x, const Tensor& delta, const Tensor& weight_D, const Tensor& bias_D, double eps) {
  check_terms("add_layer_norm", x, delta);
  check(x.dim() >= 1 && weight_D.dim() == 1 && weight_D.sizes() == bias_D.sizes() && x.size(-1) == weight_D.size(0),
        "[add_layer_norm] expected x [..., D], weight and bias [D], got ", x.sizes(), ", ", weight_D.sizes(), " and ", bias_D.sizes());
  if (takes_norm_kernel(x, weight_D, bias_D)) {
    const Tensors both = add_norm_cuda({"add_layer_norm", NormKind::kLayer, eps}, x, delta, weight_D, bias_D);
    return {both[0], both[1]};
  }
  const Tensor sum = x + delta;
  return {sum, layer_norm(sum, weight_D, bias_D, eps)};
}

}  // namespace r1::ops
