// What goes into the engine and what comes out: ids only. Text, templates and stop strings live above (engine/completion).
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "r1/grammar/token_constraint.h"

namespace r1::engine {

using TokenId = int32_t;

struct SamplingParams {
  double temperature = 1.0;  // 0, or below kGreedyBelow: greedy (first of equal maxima)
  int64_t top_k = 0;         // 0: off
  double top_p = 1.0, min_p = 0.0;
  double repetition_penalty = 1.0, presence_penalty = 0.0, frequency_penalty = 0.0;
  uint64_t seed = 0;  // token i of this request draws random_uniform(seed, sample_index, i): batch and schedule do not matter
  int64_t max_new_tokens = 16;
  int64_t min_new_tokens = 0;     // nothing ends the answer at one of this many first tokens: neither ids nor stop strings
  std::vector<TokenId> stop_ids;  // end of sequence and other stops; the stop token is kept in ids
  bool logprobs = false;          // of the chosen token, under logits / temperature (greedy: temperature 1), before any truncation
  int top_logprobs = 0;           // alternatives a position, 0..20
};
// Logits divided by less than this may overflow; the likeliest token has all the probability long before.
inline constexpr double kGreedyBelow = 1e-6;
inline bool is_greedy(const SamplingParams& params) {
  return params.temperature < kGreedyBelow;
}
// Range checks, kUsage errors that name the field.
void check_sampling(const SamplingParams& params);

using RequestId = int64_t;

// What a run of a prompt's tokens stands for where it is not their ids (an image's rows, say): 128 bits of a hash of the content, chosen so
// that different contents never meet. Requests share a cached prefix only where ids and contents are the same.
struct ContentSpan {
  int64_t first = 0, tokens = 0;  // tokens first .. first + tokens - 1 of the prompt
  std::array<uint64_t, 2> hash{};
};

struct Request {
  std::vector<TokenId> prompt;
  SamplingParams sampling;
  int32_t sample_index = 0;           // which of n samples of the same prompt: its own random stream
  std::vector<TokenId> forced;        // these tokens are emitted first, as if sampled (forced empty thought, budget end)
  std::vector<ContentSpan> contents;  // in order, apart from each other
  uint64_t cache_salt = 0;            // requests share cached prefixes only under the same salt (tenants of a server)
  // Which tokens may come; each sample runs a copy of it, in the state it has now. Forced tokens are told to it, not asked of it. What it
  // throws ends that sample alone (kFailed). Nothing is guessed for such a sample, and no step is started ahead while one runs.
  std::shared_ptr<const grammar::TokenConstraint> constraint = nullptr;
};

enum class FinishReason { kNone, kStop, kLength, kCancelled, kFailed };  // kFailed: its constraint threw
const char* finish_reason_name(FinishReason reason);                     // "stop", "length", "cancelled", "failed"

struct TokenAlternative {
  TokenId id;
  float logprob;
};

// A token that one step made, or with kFailed none (-1), but why there is none.
struct TokenEvent {
  RequestId request = 0;
  TokenId token = 0;
  float logprob = std::numeric_limits<float>::quiet_NaN();
  std::vector<TokenAlternative> top;
  FinishReason finish = FinishReason::kNone;  // set on the last token
  int64_t model_version = 0;                  // weight version that made it
  int64_t prompt_hits = 0;                    // tokens of the request's prompt that the prefix cache had
  bool cut = false;                           // the constraint has ended something for the model so far (TokenConstraint::cut)
  std::string error = {};                     // with kFailed
};

}  // namespace r1::engine
