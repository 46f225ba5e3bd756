#include "r1/ops/power_norm.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/kernels/cpu/gemm_f32.h"
#include "r1/ops/norm.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// Sum over tokens of fp32 rows. at::sum's order depends on the threads; a product with ones has a fixed one.
Tensor sum_rows(const Tensor& x_TD) {
  if (!x_TD.is_cpu() || x_TD.scalar_type() != at::kFloat) return x_TD.sum(0);
  const Tensor x = x_TD.contiguous(), ones = aten::ones({x.size(0), 1}, x.options());
  Tensor sum_D = aten::empty({x.size(1)}, x.options());
  kernels::linear_grad_w({.dy = x.const_data_ptr<float>(),
                          .x = ones.const_data_ptr<float>(),
                          .dw = sum_D.mutable_data_ptr<float>(),
                          .rows = x.size(0),
                          .in = 1,
                          .out = x.size(1)});
  return sum_D;
}

at::ScalarType wide_type(const Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

// Keeps x alone: the scaled rows are made again.
Tensors backward(const Tensor& dy_TD, const Tensors& saved, const Wanted& want, double eps,
                 const std::function<void(const PowerNormSums&)>& seen) {
  const auto wide = wide_type(saved[0]);
  const Tensor x_TD = saved[0].to(wide).detach().requires_grad_(want[0]), weight_D = saved[1].to(wide), dy = dy_TD.to(wide);
  Tensor u_TD;
  {
    const at::AutoGradMode with_grad(want[0]);
    u_TD = rms_norm(x_TD, aten::ones_like(weight_D), eps);
  }
  const at::NoGradGuard no_grad;
  const Tensor u = u_TD.detach(), r_D = aten::rsqrt(saved[2].to(wide) + eps);
  Tensors grads(3);
  const Tensor moments_D = want[1] || seen ? sum_rows(dy * u) * r_D : Tensor();
  if (seen) seen({sum_of_squares(u), (moments_D * weight_D).to(at::kFloat)});
  if (want[0]) {
    const Tensor du_TD = dy * (weight_D * r_D) - u * (saved[3].to(wide) * r_D * r_D);
    grads[0] = gradients({u_TD}, {du_TD}, {x_TD})[0].to(saved[0].scalar_type());
  }
  if (want[1]) grads[1] = moments_D.to(saved[1].scalar_type());
  if (want[2]) grads[2] = sum_rows(dy).to(saved[1].scalar_type());
  return grads;
}

}  // namespace

Tensor power_norm(const Tensor& x_TD, const Tensor& weight_D, const Tensor& bias_D, const PowerNormState& state, double eps,
                  std::function<void(const PowerNormSums&)> seen) {
  check(x_TD.dim() == 2 && weight_D.dim() == 1 && x_TD.size(1) == weight_D.size(0) && bias_D.sizes() == weight_D.sizes() &&
            state.square_D.sizes() == weight_D.sizes() && state.nu_D.sizes() == weight_D.sizes(),
        "[power_norm] expected x [T, D], weight, bias and statistics [D], got ", x_TD.sizes(), ", ", weight_D.sizes(), ", ", bias_D.sizes(),
        " and ", state.square_D.sizes());
  Tensor y_TD;
  {
    // With the statistics in the weight it is an RMSNorm.
    const at::NoGradGuard no_grad;
    const auto wide = wide_type(x_TD);
    const Tensor scale_D = weight_D.to(wide) * aten::rsqrt(state.square_D.to(wide) + eps);
    y_TD = (rms_norm(x_TD.to(wide), scale_D, eps) + bias_D.to(wide)).to(x_TD.scalar_type());
  }
  if (!needs_grad({x_TD, weight_D, bias_D})) return y_TD;
  // The statistics as they are now: they move after the step, the backward may run again (checkpointing) but belongs to this forward.
  return differentiable(
      "power_norm", y_TD, {x_TD, weight_D, bias_D}, {x_TD, weight_D, state.square_D, state.nu_D},
      [eps, seen](const Tensor& dy_TD, const Tensors& saved, const Wanted& want) { return backward(dy_TD, saved, want, eps, seen); });
}

Tensor sum_of_squares(const Tensor& x_TD) {
  const at::NoGradGuard no_grad;
  const Tensor x = x_TD.to(wide_type(x_TD));
  return sum_rows(x * x).to(at::kFloat);
}

void power_norm_step(const PowerNormState& state, const PowerNormStep& step) {
  check(step.tokens > 0, "[power_norm] expected tokens in a step, got ", step.tokens);
  const at::NoGradGuard no_grad;
  const Tensor mean_square_D = step.sums.squares_D / step.tokens, gamma_D = mean_square_D / (state.square_D + step.eps);
  state.nu_D.add_(step.sums.lambda_D / step.tokens - state.nu_D * gamma_D, step.nu_rate);
  state.square_D.add_(mean_square_D - state.square_D, step.rate);
}

}  // namespace r1::ops
