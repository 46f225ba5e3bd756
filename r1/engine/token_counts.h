// How often each token has occurred in one sequence: what the penalties of sampling look at.
#pragma once

#include <unordered_map>

#include "r1/engine/request.h"

namespace r1::engine {

struct TokenCounts {
  struct Count {
    int32_t made = 0;        // in the answer: presence and frequency penalties (OpenAI, vLLM)
    bool in_prompt = false;  // prompt and answer: repetition penalty (HF)
  };
  std::unordered_map<TokenId, Count> by_token;

  void add_prompt(TokenId token) { by_token[token].in_prompt = true; }
  void add_made(TokenId token) { ++by_token[token].made; }
};

inline bool wants_penalties(const SamplingParams& p) {
  return p.repetition_penalty != 1.0 || p.presence_penalty != 0.0 || p.frequency_penalty != 0.0;
}

}  // namespace r1::engine
