// Which experts a token goes to and with what weight: scores, a choice that gradients do not see, gates. As in DeepSeek-V3 (arXiv
// 2412.19437, eq. 12-16): a bias, moved by rule towards equal load, takes part in the choice and never in the gate; with groups (a node
// each) a token is limited to its best ones. Softmax scores and a group's best instead of its best two give DeepSeek-V2's router, softmax
// scores without groups and bias that of Qwen3-MoE.
//   T tokens, E experts, K of them chosen a token.
// Everything is fp32 whatever the model's dtype. Of equal scores the lower expert wins, so a choice is a function of the numbers alone.
// CPU: a row depends on itself only, bit for bit.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

struct RouteOptions {
  bool softmax = false;                 // else sigmoid, an expert at a time
  int64_t per_token = 1;                // K
  int64_t groups = 1, groups_kept = 1;  // E / groups experts each
  bool group_by_max = false;            // a group counts as its best expert (V2), else as the sum of its best two (V3)
  bool normalised = true;               // a token's gates sum to `scale`
  double scale = 1;
};

struct Routes {
  Tensor score_TE;   // with graph
  Tensor expert_TK;  // int64, best first
  Tensor gate_TK;    // with graph, to the scores of the chosen
};

// logits [T, E] fp32 (fp64 in tests), bias [E] fp32 or undefined.
Routes route(const Tensor& logits_TE, const Tensor& bias_E, const RouteOptions& options);
Routes route_ref(const Tensor& logits_TE, const Tensor& bias_E, const RouteOptions& options);

// Its three steps.
Tensor expert_scores(const Tensor& logits_TE, bool softmax);
Tensor expert_scores_ref(const Tensor& logits_TE, bool softmax);
Tensor choose_experts(const Tensor& score_TE, const Tensor& bias_E, const RouteOptions& options);
Tensor choose_experts_ref(const Tensor& score_TE, const Tensor& bias_E, const RouteOptions& options);
Tensor expert_gates(const Tensor& score_TE, const Tensor& expert_TK, bool normalised, double scale);
Tensor expert_gates_ref(const Tensor& score_TE, const Tensor& expert_TK, bool normalised, double scale);

}  // namespace r1::ops
