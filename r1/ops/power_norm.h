// PowerNorm (Shen, Yao, Gholami, Mahoney, Keutzer: "PowerNorm: Rethinking Batch Normalization in Transformers", ICML 2020, arXiv
// 2003.07845): each feature is divided by a running quadratic mean over tokens instead of by anything of its own row.
//   forward    xhat = x / psi,  psi = sqrt(square + eps),  y = xhat weight + bias
//   backward   g = dy weight,  dx = (g - nu xhat) / psi,  dweight = sum over tokens of dy xhat,  dbias = sum over tokens of dy
// `square` and `nu` are statistics of earlier steps (power_norm_step). The paper's gradient is an approximation: that of a norm by the
// batch's own quadratic mean has the mean over tokens of g xhat where nu stands; at the statistics' fixed point the two are the same. With
// nu = 0 it is the exact gradient of the forward as it stands (statistics frozen).
//   x [T, D]; weight, bias [D]; square, nu [D] fp32; y like x. Rows are independent of each other, bitwise. Sums over tokens have a fixed
//   order. The group scaling that the authors' code puts before the norm is left out.
#pragma once

#include <functional>

#include "r1/ops/autograd.h"
#include "r1/tensor/tensor.h"

namespace r1::ops {

struct PowerNormState {
  Tensor square_D, nu_D;
};

// `seen` is called by the backward with sum over tokens of g xhat, fp32 [D]: what power_norm_step needs of it.
Tensor power_norm(const Tensor& x_TD, const Tensor& weight_D, const Tensor& bias_D, const PowerNormState& state, double eps,
                  std::function<void(const Tensor& lambda_D)> seen = {});
// The forward, statistics frozen.
Tensor power_norm_ref(const Tensor& x_TD, const Tensor& weight_D, const Tensor& bias_D, const PowerNormState& state, double eps);
// The backward: dx, dweight, dbias.
Tensors power_norm_backward_ref(const Tensor& dy_TD, const Tensor& x_TD, const Tensor& weight_D, const PowerNormState& state, double eps);

// sum over tokens of x^2, fp32 [D].
Tensor sum_of_squares(const Tensor& x_TD);

// Moves the statistics by what a step of `tokens` tokens saw: Gamma = mean of xhat^2, Lambda = mean of g xhat,
//   square += rate (mean of x^2 - square),   nu += nu_rate (Lambda - nu Gamma).
struct PowerNormStep {
  Tensor squares_D, lambda_D;  // sums over the step's tokens; lambda may be undefined (nothing flowed back): nu stays
  double tokens, rate, nu_rate, eps;
};
void power_norm_step(const PowerNormState& state, const PowerNormStep& step);

}  // namespace r1::ops
