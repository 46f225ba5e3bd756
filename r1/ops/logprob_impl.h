// What logprob.cc asks of logprob_cuda.cc. x and head are dense, fp32 or bf16 on a device; shapes are checked.
#pragma once

#include "r1/ops/autograd.h"
#include "r1/ops/logprob.h"

namespace r1::ops {

struct LogProbForward {
  LogProbs result;
  Tensor lse_T;
};
LogProbForward linear_logprob_cuda(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, double temperature,
                                   bool want_entropy);
// Gradients of x and head where wanted. saved: x, head, targets, lse.
Tensors linear_logprob_backward_cuda(const Tensor& d_T, const Tensors& saved, const Wanted& want, double temperature);

// Log-probabilities and, of sum_t d_T[t] logprob_T[t], the gradients of x (its dtype) and head (fp32) where wanted.
struct LogProbGradients {
  Tensor logprob_T, dx_TD, dhead_VD;
};
LogProbGradients linear_logprob_gradients_cuda(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& d_T,
                                               double temperature, bool want_x, bool want_head);

}  // namespace r1::ops
