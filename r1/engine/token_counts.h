// How often each token has occurred in one sequence: what the penalties of sampling look at.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "r1/engine/request.h"

namespace r1::engine {

class TokenCounts {
 public:
  struct Count {
    TokenId id = 0;
    int32_t made = 0;  // in the answer: presence and frequency penalties (OpenAI, vLLM)
  };

  TokenCounts() = default;
  TokenCounts(TokenCounts&&) = default;
  TokenCounts& operator=(TokenCounts&&) = default;

  void add_prompt(TokenId token) { change(token); }
  void add_made(TokenId token) { ++change(token).made; }

  // Of prompt and answer, in the order of their first occurrence: the repetition penalty (HF) is for all of them.
  const std::vector<Count>& counts() const { return counts_; }
  // The places in counts() that each token since the beginning has changed.
  const std::vector<int32_t>& changed() const { return changed_; }

  // What a sampler keeps of these counts elsewhere, for as long as they live.
  mutable std::shared_ptr<void> kept;

 private:
  Count& change(TokenId token) {
    const auto [it, fresh] = place_.try_emplace(token, int32_t(counts_.size()));
    if (fresh) counts_.push_back({token});
    changed_.push_back(it->second);
    return counts_[size_t(it->second)];
  }

  std::vector<Count> counts_;
  std::unordered_map<TokenId, int32_t> place_;
  std::vector<int32_t> changed_;
};

inline bool wants_penalties(const SamplingParams& p) {
  return p.repetition_penalty != 1.0 || p.presence_penalty != 0.0 || p.frequency_penalty != 0.0;
}

}  // namespace r1::engine
