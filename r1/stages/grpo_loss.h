// The GRPO objective as published, per token: -min(rho A, clip(rho, 1-eps_low, 1+eps_high) A) + beta * k3, with rho = pi / pi_old and
// k3 = pi_ref/pi - log(pi_ref/pi) - 1 (Schulman's estimator, in the loss and not in the reward). How tokens are weighed is the batch's
// loss_weight:
//   grpo     mean over tokens of each completion, then over completions (DeepSeekMath)     weight 1/|o_i|,  denominator = completions
//   dapo     mean over all completion tokens of the step                                     weight 1,        denominator = tokens
//   dr_grpo  sum / (completions * max_completion_length)                                     weight 1/L_max,  denominator = completions
//   bnpo     mean over the tokens of each micro-batch, then over micro-batches               weight 1/tokens, denominator = micro-batches
//   luspo    sum over each completion, mean over completions (arXiv 2602.05261)              weight 1,        denominator = completions
// Two weigh tokens as above and have another term in the place of the clipped one:
//   cispo    -sg(min(rho, eps_high)) A log pi: a bound on the weight, and every token keeps its gradient (MiniMax-M1, arXiv 2506.13585);
//            weighed as dapo; eps_high is the bound itself (ScaleRL, arXiv 2510.13786: 5)
//   sapo     -4/tau sigmoid(tau (rho - 1)) A, tau by the sign of A: a soft clip (arXiv 2511.20347); weighed as grpo
// With importance_sampling_level "sequence" (GSPO) rho is exp(mean over the completion of log rho).
// Options: delta bounds rho itself where A < 0, which the clip leaves open (two-sided clip, INTELLECT-2, arXiv 2505.07291);
// use_bias_correction_kl multiplies k3 by rho, off_policy_mask_threshold takes completions with A < 0 out whose mean log(pi_old / pi) is more
// (both DeepSeek-V3.2, arXiv 2512.02556); top_entropy_quantile leaves the policy's term to that share of a micro-batch's tokens which has
// the most entropy (arXiv 2506.01939).
// Old log-probabilities are the rollout's own: on CPU in fp32 rho is exactly 1 at the first update.
#pragma once

#include <string>

#include "r1/train/trainer.h"

namespace r1::stages {

struct GrpoLossArgs {
  double epsilon = 0.2, epsilon_high = 0, beta = 0;
  double delta = 0;  // 0: none
  double sapo_temperature_pos = 1.0, sapo_temperature_neg = 1.05;
  double off_policy_mask_threshold = 0;  // 0: none
  double top_entropy_quantile = 1;
  bool use_bias_correction_kl = false;
  std::string loss_type = "grpo", importance_sampling_level = "token";

  void visit(Fields& v);
};

// Usage error for settings that mean nothing together.
void check_loss(const GrpoLossArgs& args);

// Weight of each completion token of a completion with `length` tokens; of bnpo before it is shared out (make_batches).
double token_weight(const std::string& loss_type, int64_t length, int64_t max_completion_length);

// Metrics are sums over tokens (divide by "tokens"): kl, entropy, ratio, logp_difference, and clip_low and clip_high where the ratio is clipped,
// cispo_clipped for cispo; and the maxima ratio_max, logp_difference_max.
train::LossSpec grpo_loss(const GrpoLossArgs& args, double temperature);

}  // namespace r1::stages
