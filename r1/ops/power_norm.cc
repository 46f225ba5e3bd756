#include "r1/ops/power_norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rsqrt.h>

#include "r1/base/error.h"
#include "r1/kernels/cpu/gemm_f32.h"

namespace r1::ops {

namespace {

// Sum over tokens of fp32 rows. at::sum's order depends on the threads; a product with ones has a fixed one.
Tensor sum_rows(const Tensor& x_TD) {
  if (!x_TD.is_cpu() || x_TD.scalar_type() != at::kFloat) return x_TD.sum(0);
  const Tensor x = x_TD.contiguous(), ones = at::ones({x.size(0), 1}, x.options());
  Tensor sum_D = at::empty({x.size(1)}, x.options());
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

}  // namespace

Tensor power_norm(const Tensor& x_TD, const Tensor& weight_D, const Tensor& bias_D, const PowerNormState& state, double eps,
                  std::function<void(const Tensor&)> seen) {
  check(x_TD.dim() == 2 && weight_D.dim() == 1 && x_TD.size(1) == weight_D.size(0) && bias_D.sizes() == weight_D.sizes() &&
            state.square_D.sizes() == weight_D.sizes() && state.nu_D.sizes() == weight_D.sizes(),
        "[power_norm] expected x [T, D], weight, bias and statistics [D], got ", x_TD.sizes(), ", ", weight_D.sizes(), ", ", bias_D.sizes(),
        " and ", state.square_D.sizes());
  Tensor y_TD;
  {
    const at::NoGradGuard no_grad;
    y_TD = power_norm_ref(x_TD, weight_D, bias_D, state, eps);
  }
  if (!needs_grad({x_TD, weight_D, bias_D})) return y_TD;
  // The statistics as they are now: they move behind the step, the backward may run again (checkpointing) but belongs to this forward.
  return differentiable("power_norm", y_TD, {x_TD, weight_D, bias_D}, {x_TD, weight_D, state.square_D, state.nu_D},
                        [eps, seen](const Tensor& dy_TD, const Tensors& saved, const Wanted& want) {
                          const Tensor &x = saved[0], &weight = saved[1];
                          const auto wide = wide_type(x);
                          const Tensor r_D = at::rsqrt(saved[2].to(wide) + eps), xhat_TD = x.to(wide) * r_D, dy = dy_TD.to(wide);
                          Tensors grads(3);
                          const Tensor moments_D = want[1] || seen ? sum_rows(dy * xhat_TD) : Tensor();
                          if (seen) seen((moments_D * weight.to(wide)).to(at::kFloat));
                          if (want[0]) grads[0] = ((dy * weight.to(wide) - xhat_TD * saved[3].to(wide)) * r_D).to(x.scalar_type());
                          if (want[1]) grads[1] = moments_D.to(weight.scalar_type());
                          if (want[2]) grads[2] = sum_rows(dy).to(weight.scalar_type());
                          return grads;
                        });
}

Tensor sum_of_squares(const Tensor& x_TD) {
  const at::NoGradGuard no_grad;
  const Tensor x = x_TD.to(wide_type(x_TD));
  return sum_rows(x * x).to(at::kFloat);
}

void power_norm_step(const PowerNormState& state, const PowerNormStep& step) {
  check(step.tokens > 0, "[power_norm] expected tokens in a step, got ", step.tokens);
  const at::NoGradGuard no_grad;
  const Tensor mean_square_D = step.squares_D / step.tokens;
  if (step.lambda_D.defined()) {
    const Tensor gamma_D = mean_square_D / (state.square_D + step.eps);
    state.nu_D.add_(step.lambda_D / step.tokens - state.nu_D * gamma_D, step.nu_rate);
  }
  state.square_D.add_(mean_square_D - state.square_D, step.rate);
}

}  // namespace r1::ops
