// From a row of logits to a token, on the host. Order of operations as in HF generate:
//   0. mask            tokens that a constraint forbids are out; where min_new_tokens takes the rest, it gives way
//   1. penalties       repetition (HF: on tokens of prompt and answer, z < 0 ? z * r : z / r), then presence and frequency (OpenAI: on tokens of
//                      the answer)
//   2. min_new_tokens  stop ids are out until that many tokens were made
//   3. temperature     z / temperature; greedy (request.h): the first maximum, and no more steps
//   4. top_k           what is below the k-th largest is out (ties with it stay)
//   5. top_p           the smallest set of likeliest tokens whose probability reaches top_p (the likeliest always stays)
//   6. min_p           what is less likely than min_p times the likeliest is out
//   7. draw            inverse of the cumulative distribution at random_uniform(seed, sample_index, token index): in order of ids if steps 4-6
//                      are off, else from the likeliest down (equal logits: smaller id first)
// The reported log-probability is that of the model: raw logits / temperature (greedy: temperature 1), before steps 0-2 and 4-6. It is
// computed by the kernel that ops::linear_logprob uses, so a rollout's log-probabilities equal the trainer's forward. A row's result
// depends on that row alone: not on the others, not on threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "r1/engine/request.h"
#include "r1/engine/token_counts.h"

namespace r1::engine {

struct SampleRow {
  const float* logits = nullptr;
  const SamplingParams* params = nullptr;
  const TokenCounts* counts = nullptr;  // needed only with penalties
  int32_t sample_index = 0;
  int64_t token_index = 0;              // tokens made before this one
  TokenId forced = -1;                  // this token, whatever the logits say
  std::span<const uint64_t> mask = {};  // bit (id % 64) of mask[id / 64] set: allowed; at least one is. Empty: all
};

struct Sampled {
  TokenId token = 0;
  float logprob = std::numeric_limits<float>::quiet_NaN();
  std::vector<TokenAlternative> top;
};

// out[i] for rows[i]; rows run in parallel. Logits are not changed. A row without any finite maximum (NaN or infinite logits) is an error.
void sample_rows(std::span<const SampleRow> rows, int64_t vocab, std::span<Sampled> out);

// The first maximum.
TokenId greedy_token(const float* logits, int64_t vocab);

}  // namespace r1::engine
