// Log-probabilities from rows of logits, and the gradient, with z = logits * inv_temperature:
//   lse = log sum exp z,  logprob = z[target] - lse,  entropy = lse - sum softmax(z) z
//   backward, in place:  logits[i] = dlogprob * inv_temperature * ((i == target) - exp(z[i] - lse))
// Cross entropy is -logprob: dlogprob = -weight. A target < 0 gives logprob 0 and a row of zero gradients. In the backward the target vocab is
// none of these logits, which are a part of a row then, with the lse of all of it. Logits are fp32. The sum over a row runs
// in chunks of 4096 combined in ascending order, so that a row's bits depend neither on other rows nor on threads.
#pragma once

#include <cstdint>

namespace r1::kernels {

struct LogProb {
  const float* logits;
  int64_t rows, vocab;
  int64_t row_stride = 0;            // 0: dense
  const int64_t* targets = nullptr;  // [rows], or none when only lse or entropy is wanted
  float inv_temperature = 1;
  float *logprob = nullptr, *lse = nullptr, *entropy = nullptr;  // [rows], each may be null
};
void log_prob(const LogProb& a);

struct LogProbBackward {
  float* logits;  // in: logits, out: their gradient
  int64_t rows, vocab;
  int64_t row_stride = 0;
  const int64_t* targets;
  const float *lse, *dlogprob;  // [rows]
  float inv_temperature = 1;
};
void log_prob_backward(const LogProbBackward& a);

}  // namespace r1::kernels
