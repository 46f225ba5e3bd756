// One row of packed documents: T tokens, S documents, plain arrays (no tensors here). Document s owns tokens cu_seqlens[s] ..
// cu_seqlens[s+1]-1 and attention never crosses a document. targets[t] is the token to predict at t (ids[t+1] inside a document);
// loss_weight[t] is 0 where nothing is learned (the last token of a document, prompts, padding).
#pragma once

#include <cstdint>
#include <vector>

namespace r1::data {

struct Batch {
  std::vector<int32_t> ids;         // [T]
  std::vector<int32_t> targets;     // [T]
  std::vector<float> loss_weight;   // [T]
  std::vector<int32_t> positions;   // [T], 0.. inside each document
  std::vector<int32_t> cu_seqlens;  // [S+1]

  // Reinforcement learning only; empty otherwise. Per token [T]: advantage, log-probability of targets[t] when sampled and under the
  // reference.
  std::vector<float> advantage, old_logprob, ref_logprob;
  std::vector<int32_t> document;  // [S] the caller's index of each document (which sample of the rollout)

  int64_t tokens() const { return int64_t(ids.size()); }
  int64_t documents() const { return int64_t(cu_seqlens.size()) - 1; }
};

}  // namespace r1::data
