#include "r1/ops/power_norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/rsqrt.h>

namespace r1::ops {

namespace {

at::ScalarType wide_type(const Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

Tensor inverse_psi(const Tensor& x_TD, const PowerNormState& state, double eps) {
  return at::rsqrt(state.square_D.to(wide_type(x_TD)) + eps);
}

}  // namespace

Tensor power_norm_ref(const Tensor& x_TD, const Tensor& weight_D, const Tensor& bias_D, const PowerNormState& state, double eps) {
  const auto wide = wide_type(x_TD);
  const Tensor xhat_TD = x_TD.to(wide) * inverse_psi(x_TD, state, eps);
  return (xhat_TD * weight_D.to(wide) + bias_D.to(wide)).to(x_TD.scalar_type());
}

Tensors power_norm_backward_ref(const Tensor& dy_TD, const Tensor& x_TD, const Tensor& weight_D, const PowerNormState& state, double eps) {
  const auto wide = wide_type(x_TD);
  const Tensor r_D = inverse_psi(x_TD, state, eps), xhat_TD = x_TD.to(wide) * r_D, dy = dy_TD.to(wide);
  const Tensor dx_TD = (dy * weight_D.to(wide) - xhat_TD * state.nu_D.to(wide)) * r_D;
  return {dx_TD.to(x_TD.scalar_type()), (dy * xhat_TD).sum(0).to(weight_D.scalar_type()), dy.sum(0).to(weight_D.scalar_type())};
}

}  // namespace r1::ops
