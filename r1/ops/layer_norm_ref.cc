#include "r1/ops/layer_norm.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

Tensor wide_norm(const Tensor& x, const Tensor& weight_D, const Tensor& bias_D, double eps) {
  const auto wide = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const Tensor x32 = x.to(wide), centred = x32 - aten::mean(x32, {-1}, /*keepdim=*/true);
  const Tensor scale = aten::rsqrt(aten::mean(centred * centred, {-1}, /*keepdim=*/true) + eps);
  return centred * scale * weight_D.to(wide) + bias_D.to(wide);
}

}  // namespace

Tensor layer_norm_ref(const Tensor& x, const Tensor& weight_D, const Tensor& bias_D, double eps) {
  return wide_norm(x, weight_D, bias_D, eps).to(x.scalar_type());
}

Tensor layer_norm_gelu_ref(const Tensor& x, const Tensor& weight_D, const Tensor& bias_D, double eps, GeluForm form) {
  return gelu_ref(wide_norm(x, weight_D, bias_D, eps), form).to(x.scalar_type());
}

}  // namespace r1::ops
