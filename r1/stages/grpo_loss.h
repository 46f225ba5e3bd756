// The GRPO objective as published, per token: -min(rho A, clip(rho, 1-eps_low, 1+eps_high) A) + beta * k3, with rho = pi / pi_old and
// k3 = pi_ref/pi - log(pi_ref/pi) - 1 (Schulman's estimator, in the loss and not in the reward). How tokens are weighed is the batch's
// loss_weight:
//   grpo     mean over tokens of each completion, then over completions (DeepSeekMath)     weight 1/|o_i|,  denominator = completions
//   dapo     mean over all completion tokens of the step                                     weight 1,        denominator = tokens
//   dr_grpo  sum / (completions * max_completion_length)                                     weight 1/L_max,  denominator = completions
// With importance_sampling_level "sequence" (GSPO) rho is exp(mean over the completion of log rho).
// Old log-probabilities are the rollout's own: on CPU in fp32 rho is exactly 1 at the first update.
#pragma once

#include <string>

#include "r1/train/trainer.h"

namespace r1::stages {

struct GrpoLossArgs {
  double epsilon = 0.2, epsilon_high = 0, beta = 0;
  std::string loss_type = "grpo", importance_sampling_level = "token";

  void visit(Fields& v);
};

// Weight of each completion token of a completion with `length` tokens.
double token_weight(const std::string& loss_type, int64_t length, int64_t max_completion_length);

// Metrics are sums over tokens (divide by "tokens"): kl, entropy, clip_low, clip_high, ratio, logp_difference; and the maxima ratio_max,
// logp_difference_max.
train::LossSpec grpo_loss(const GrpoLossArgs& args, double temperature);

}  // namespace r1::stages
