// How to sample, as users say it: one list of options with names and ranges for every command that samples (generate, chat, eval, rollouts).
// How long, how often and with which seed is each command's own.
#pragma once

#include <string>
#include <vector>

#include "r1/base/config.h"
#include "r1/engine/request.h"

namespace r1::engine {

struct SamplingOptions {
  double temperature = 1, top_p = 1, min_p = 0, repetition_penalty = 1, presence_penalty = 0, frequency_penalty = 0;
  int64_t top_k = 0, min_new_tokens = 0;
  std::vector<std::string> stop;

  void visit(Fields& v);
  // What the engine takes; `stop` is for its door (CompletionRequest). Usage errors name what is out of range.
  SamplingParams params(int64_t max_new_tokens) const;
};

}  // namespace r1::engine
