// What a mixture of experts does to rows besides its products: scores of the experts, the choice among them, gates, and the sum of the
// chosen experts' rows. A token's results depend on its own row alone, in bits too, whatever the threads and the instruction set.
#pragma once

#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

// scores = sigmoid(logits), or the softmax of each row; and back: dlogits = dscores s (1 - s), or s (dscores - sum dscores s).
struct ExpertScores {
  const float* logits;  // [rows, experts]
  float* scores;
  int64_t rows, experts;
  bool softmax = false;
};
void expert_scores(const ExpertScores& a);

struct ExpertScoresBackward {
  const float *scores, *dscores;
  float* dlogits;
  int64_t rows, experts;
  bool softmax = false;
};
void expert_scores_backward(const ExpertScoresBackward& a);

// The per_token experts of each row with the largest scores + bias, best first; of equals the lower number. With groups > 1 only experts of
// the groups_kept best groups are eligible; a group counts as the sum of its two best, or as its best. NaN counts as minus infinity.
struct ChooseExperts {
  const float* scores;          // [rows, experts]
  const float* bias = nullptr;  // [experts] or none
  int64_t* chosen;              // [rows, per_token]
  int64_t rows, experts, per_token, groups = 1, groups_kept = 1;
  bool group_by_max = false;
};
void choose_experts(const ChooseExperts& a);

// gates[t, k] = scale s_k, s_k = scores[t, chosen[t, k]], divided by their sum over k + 1e-20 when `normalised`. The backward fills the
// whole of dscores.
struct ExpertGates {
  const float* scores;  // [rows, experts]
  const int64_t* chosen;
  float* gates;  // [rows, per_token]
  int64_t rows, experts, per_token;
  bool normalised = true;
  float scale = 1;
};
void expert_gates(const ExpertGates& a);

struct ExpertGatesBackward {
  const float* scores;
  const int64_t* chosen;
  const float* dgates;
  float* dscores;  // [rows, experts]
  int64_t rows, experts, per_token;
  bool normalised = true;
  float scale = 1;
};
void expert_gates_backward(const ExpertGatesBackward& a);

// out[t] = sum over k ascending of gates[t, k] y[place[t, k]], in fp32, rounded once; without gates the plain sum.
struct CombineRows {
  ConstRows y;
  const float* gates = nullptr;  // [tokens, per_token] or none
  const int64_t* place;          // [tokens, per_token]: rows of y
  Rows out;                      // [tokens, dim]
  int64_t tokens, per_token, dim;
};
void combine_rows(const CombineRows& a);

// dy[place[t, k]] = gates[t, k] dout[t];  dgates[t, k] = dout[t] . y[place[t, k]]. Every row of y has one place.
struct CombineRowsBackward {
  ConstRows y, dout;
  const float* gates;
  const int64_t* place;
  Rows dy;
  float* dgates;
  int64_t tokens, per_token, dim;
};
void combine_rows_backward(const CombineRowsBackward& a);

}  // namespace r1::kernels
