#include "r1/ops/power_norm.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

at::ScalarType wide_type(const Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

Tensor inverse_rms(const Tensor& x_TD, double eps) {
  return aten::rsqrt((x_TD * x_TD).mean(-1, /*keepdim=*/true) + eps);
}

}  // namespace

Tensor power_norm_ref(const Tensor& x_TD, const Tensor& weight_D, const Tensor& bias_D, const PowerNormState& state, double eps) {
  const auto wide = wide_type(x_TD);
  const Tensor x = x_TD.to(wide), xhat_TD = x * inverse_rms(x, eps) * aten::rsqrt(state.square_D.to(wide) + eps);
  return (xhat_TD * weight_D.to(wide) + bias_D.to(wide)).to(x_TD.scalar_type());
}

Tensors power_norm_backward_ref(const Tensor& dy_TD, const Tensor& x_TD, const Tensor& weight_D, const PowerNormState& state, double eps) {
  const auto wide = wide_type(x_TD);
  const Tensor x = x_TD.to(wide), dy = dy_TD.to(wide), r_T1 = inverse_rms(x, eps), u_TD = x * r_T1;
  const Tensor r_D = aten::rsqrt(state.square_D.to(wide) + eps), xhat_TD = u_TD * r_D;
  const Tensor du_TD = (dy * weight_D.to(wide) - xhat_TD * state.nu_D.to(wide)) * r_D;
  const Tensor dx_TD = (du_TD - u_TD * (du_TD * u_TD).mean(-1, /*keepdim=*/true)) * r_T1;
  return {dx_TD.to(x_TD.scalar_type()), (dy * xhat_TD).sum(0).to(weight_D.scalar_type()), dy.sum(0).to(weight_D.scalar_type())};
}

}  // namespace r1::ops
