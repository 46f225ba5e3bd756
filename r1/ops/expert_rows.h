// Tokens to experts and back: every token's row once for each expert it chose, the rows of one expert together, none dropped and none
// padded; and the weighted sum of a token's K results.
//   T tokens, E experts, K chosen a token, S = T K rows sorted by expert (of one expert's rows: by token).
// CPU: the sum over k runs in the order of the choice, in fp32, rounded once; so a token's result does not depend on who else chose its
// experts, bit for bit. Gradients do not depend on threads.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

struct ExpertRows {
  Tensor token_S;   // int64: the token that a sorted row belongs to
  Tensor place_TK;  // int64: the sorted row of a token's k-th choice
  Tensor ends_E;    // int32: one past the last row of each expert
};

// expert [T, K] int64, each in [0, experts) and a row's K different. On CUDA nothing waits for the device.
ExpertRows sort_by_expert(const Tensor& expert_TK, int64_t experts);

// x [T, D] -> [S, D]
Tensor gather_rows(const Tensor& x_TD, const ExpertRows& rows);
Tensor gather_rows_ref(const Tensor& x_TD, const ExpertRows& rows);

// y [S, D], gate [T, K] fp32 -> [T, D] like y: sum over k of gate[t, k] y[place[t, k]]
Tensor combine_rows(const Tensor& y_SD, const Tensor& gate_TK, const ExpertRows& rows);
Tensor combine_rows_ref(const Tensor& y_SD, const Tensor& gate_TK, const ExpertRows& rows);

}  // namespace r1::ops
