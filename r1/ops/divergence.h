// Distillation's loss straight from hidden states: how far the student's next-token distribution is from the teacher's, and the cross entropy
// of the tokens that stand there, in chunks of tokens, so that [tokens x vocab] is never held.
//
//   sum = sum_t weights_T[t] (divergence_weight D_t + ce_weight (-log p1(target_t)))
//   p = softmax(z / temperature), z the student's logits; p1 the same at temperature 1; t the teacher's, at the same temperature
//   D = KL(t || p)                                            beta 0, forward
//       KL(p || t)                                            beta 1, reverse
//       beta KL(t || m) + (1 - beta) KL(p || m)               between: generalized Jensen-Shannon, m = beta t + (1 - beta) p
// (Agarwal et al., On-Policy Distillation of Language Models, 2306.13649, eq. 1; TRL's generalized_jsd_loss is the same.)
//
// A teacher of which only the K likeliest tokens are known is a distribution over K + 1 outcomes: those tokens, and "any other", with all of
// the mass that is left. The student's mass is gathered into the same outcomes. So no mass is invented or dropped, D is 0 where the two agree
// on all outcomes, and it never exceeds that of the whole distributions. (To renormalise the K teaches that the others are impossible.)
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

// What is known of the teacher, one of the two.
struct TeacherStates {  // its logits are made chunk by chunk
  Tensor x_TE, head_VE;
};
struct TeacherTop {
  Tensor ids_TK;      // int64, below DivergenceOptions::vocab, none twice in a row
  Tensor logprob_TJ;  // J = K + 1: of these ids and, last, of all others together
};

struct DivergenceOptions {
  double beta = 0, temperature = 1, divergence_weight = 1, ce_weight = 0;
  // Tokens [0, vocab) are compared, where the models have different numbers of rows beyond their common vocabulary; 0: all of the student's.
  int64_t vocab = 0;
};

struct DivergenceLoss {
  Tensor sum;                      // scalar with graph to x and head
  Tensor divergence_T, logprob_T;  // D_t and log p1(target_t), without; 0 where the weight is 0
};

// x_TD [T, D] and head_VD [V, D] of one dtype; targets_T int64, below 0: no cross entropy; weights_T fp32 (double with double), constants.
// The gradients are made in the forward, where the logits are, and held until the backward.
DivergenceLoss linear_divergence(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T,
                                 const TeacherStates& teacher, const DivergenceOptions& options);
DivergenceLoss linear_divergence(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T,
                                 const TeacherTop& teacher, const DivergenceOptions& options);
DivergenceLoss linear_divergence_ref(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T,
                                     const TeacherStates& teacher, const DivergenceOptions& options);
DivergenceLoss linear_divergence_ref(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T,
                                     const TeacherTop& teacher, const DivergenceOptions& options);

// The k likeliest of the first `vocab` tokens (0: all), likeliest first, and the rest's log-probability. k below the number of tokens.
TeacherTop linear_top(const Tensor& x_TE, const Tensor& head_VE, int64_t k, double temperature, int64_t vocab = 0);

}  // namespace r1::ops
