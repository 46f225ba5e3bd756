// Log-probabilities from rows of fp32 logits and their gradient, kernels/cpu/softmax.h's on the device, with z = logits * inv_temperature:
//   lse = log sum exp z,  logprob = z[target] - lse,  entropy = lse - sum softmax(z) z
//   d logprob / d logits[i] times dlogprob = dlogprob * inv_temperature * ((i == target) - exp(z[i] - lse))
// A target < 0 gives logprob 0 and a row of zero gradients; one >= vocab is the caller's to prevent (it gives NaN). A row's bits depend on
// the row and vocab only.
#pragma once

#include "r1/kernels/cpu/rows.h"
#include "r1/kernels/cpu/softmax.h"
#include "r1/kernels/cuda/device.h"

namespace r1::kernels::cuda {

// One reading of the logits, a block a row.
void log_prob(const LogProb& a, Stream stream);

// The gradient of log-probabilities, written in the type that the products after it take: one reading, one writing.
struct LogProbGradient {
  const float* logits = nullptr;
  int64_t rows = 0, vocab = 0, row_stride = 0;  // stride 0: dense
  const int64_t* targets = nullptr;             // [rows]
  const float *lse = nullptr, *dlogprob = nullptr;
  float inv_temperature = 1;
  Rows gradient;  // [rows, vocab]; may be logits itself where it is fp32 with the same row stride
};
void log_prob_gradient(const LogProbGradient& a, Stream stream);

// Both where dlogprob is known beforehand. A cluster of blocks has a row: it stays in their registers, or, beyond some 160,000 numbers or off
// 16 bytes, is read a second time while the device's cache still has it.
struct LogProbAndGradient {
  const float* logits = nullptr;
  int64_t rows = 0, vocab = 0, row_stride = 0;
  const int64_t* targets = nullptr;
  const float* dlogprob = nullptr;
  float inv_temperature = 1;
  float* logprob = nullptr;  // [rows]
  Rows gradient;             // as above
};
void log_prob_and_gradient(const LogProbAndGradient& a, Stream stream);

}  // namespace r1::kernels::cuda
