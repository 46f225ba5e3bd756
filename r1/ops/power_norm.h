// PowerNorm (Shen, Yao, Gholami, Mahoney, Keutzer: "PowerNorm: Rethinking Batch Normalization in Transformers", ICML 2020, arXiv
// 2003.07845): after a scaling of each row, each feature is divided by a running quadratic mean over tokens.
//   forward    u = x / sqrt(mean(x^2) + eps) of the row,  xhat = u / psi,  psi = sqrt(square + eps),  y = xhat weight + bias
//   backward   g = dy weight,  du = (g - nu xhat) / psi,  dx = that of u's formula,
//              dweight = sum over tokens of dy xhat,  dbias = sum over tokens of dy
// `square` (of u) and `nu` are statistics of earlier steps (power_norm_step). The paper's du is an approximation: that of a norm by the
// batch's own quadratic mean has the mean over tokens of g xhat where nu stands; at the statistics' fixed point the two are the same. With
// nu = 0 it is the exact gradient of the forward as it stands (statistics frozen).
// The row's scaling is the authors' too (their layer scale, here in one group). It is what lets a pre-norm network train: without it a
// residual stream that has outgrown last step's statistics passes through unchecked.
//   x [T, D]; weight, bias [D]; square, nu [D] fp32; y like x. Rows are independent of each other, bitwise. Sums over tokens have a fixed
//   order.
#pragma once

#include <functional>

#include "r1/ops/autograd.h"
#include "r1/tensor/tensor.h"

namespace r1::ops {

struct PowerNormState {
  Tensor square_D, nu_D;
};

// What a backward saw, fp32 [D]: sums over its tokens of u^2 and of g xhat.
struct PowerNormSums {
  Tensor squares_D, lambda_D;
};

// `seen` is called by the backward with what power_norm_step needs of it.
Tensor power_norm(const Tensor& x_TD, const Tensor& weight_D, const Tensor& bias_D, const PowerNormState& state, double eps,
                  std::function<void(const PowerNormSums&)> seen = {});
// The forward, statistics frozen.
Tensor power_norm_ref(const Tensor& x_TD, const Tensor& weight_D, const Tensor& bias_D, const PowerNormState& state, double eps);
// The backward: dx, dweight, dbias.
Tensors power_norm_backward_ref(const Tensor& dy_TD, const Tensor& x_TD, const Tensor& weight_D, const PowerNormState& state, double eps);

// sum over tokens of x^2, fp32 [D].
Tensor sum_of_squares(const Tensor& x_TD);

// Moves the statistics by what a step of `tokens` tokens saw: Gamma = mean of xhat^2, Lambda = mean of g xhat,
//   square += rate (mean of u^2 - square),   nu += nu_rate (Lambda - nu Gamma).
struct PowerNormStep {
  PowerNormSums sums;
  double tokens, rate, nu_rate, eps;
};
void power_norm_step(const PowerNormState& state, const PowerNormStep& step);

}  // namespace r1::ops
