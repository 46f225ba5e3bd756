// From rows of logits to tokens where the logits are, by the rules of engine/sampler.h: penalties, banned ids, greedy, temperature, top-k,
// top-p, min-p, the draw, the log-probability of the token and of the likeliest ones. One launch for all rows, each with its own way.
//
// A row lies in the shared memory of a cluster of thread blocks and is read from the device's memory once. Weights exp((z - max) /
// temperature) are integers, of 2^-44 of the likeliest's, so that their sums are exact whatever their order: a row's token depends on that
// row alone. A cut or a draw by rank is found by histograms of the distance from the maximum and then of the floats' bits, which gives the
// very set that sorting would; ties go by id.
#pragma once

#include <cstdint>

#include "r1/kernels/cuda/device.h"

namespace r1::kernels::cuda {

constexpr int kMaxTopTokens = 20;
constexpr int64_t kMaxSampledVocab = 409600;  // what the shared memory of a cluster holds

struct TokenCount {
  int32_t id = 0, made = 0;
};

// How a row is sampled. Lies on the device.
struct SamplingRow {
  int64_t logits_row = 0;
  uint64_t seed = 0, stream = 0, index = 0;  // the draw's random_uniform(seed, stream, index) of base/rng.h
  double top_p = 1, min_p = 0;
  double presence_penalty = 0, frequency_penalty = 0;
  float repetition_penalty = 1;
  float inverse_temperature = 1;  // of the draw and of log-probabilities
  int32_t top_k = 0;              // 0: off
  int32_t forced = -1;            // this token
  int32_t greedy = 0, logprob = 0;
  int32_t top = 0;  // alternatives wanted, up to kMaxTopTokens

  // Lists on the device; ids outside the vocabulary are passed over.
  int32_t bans = 0;  // these ids are out
  const int32_t* banned = nullptr;
  TokenCount* counts = nullptr;  // distinct ids that penalties are for
  int32_t counted = 0;
  // Changes of `counts` since the launch before: the row is sampled, and counts[place] left, as they say.
  int32_t changes = 0;
  struct Change {
    int32_t place = 0;
    TokenCount count;
  } change[2];
};

// What comes out. Written once, 16 bytes a row: the memory may be the host's, pinned.
struct alignas(16) SampledRow {
  int32_t token = 0;
  float logprob = 0;   // NaN where none is wanted
  int32_t broken = 0;  // 1: the row's maximum is no finite number; the token is 0
};
struct TopToken {
  int32_t id = 0;
  float logprob = 0;
};

constexpr int64_t kRowsByValue = 24;

struct Sampling {
  const float* logits = nullptr;  // [_, vocab]
  int64_t vocab = 0, row_stride = 0;
  int64_t count = 0;
  const SamplingRow* rows = nullptr;       // [count], or
  const SamplingRow* rows_here = nullptr;  // the same in the host's memory: they go with the launch; up to kRowsByValue
  int64_t* tokens = nullptr;               // [count], or null: the tokens once more, where the next step takes them from
  SampledRow* results = nullptr;           // [count]
  TopToken* top = nullptr;  // [count, kMaxTopTokens], best first, min(top, vocab) of them; null if no row wants any; like results
};
void sample(const Sampling& a, Stream stream);

}  // namespace r1::kernels::cuda
