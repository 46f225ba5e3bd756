// How to sample, as users say it: one list of options with names and ranges for every command that samples (generate, chat, eval, rollouts).
// How long, how often and with which seed is each command's own.
#pragma once

#include <string>
#include <vector>

#include "r1/base/config.h"
#include "r1/engine/request.h"

namespace r1::engine {

// What an option holds that was not given on the command line, in a recipe or in the environment, where the model has a say.
inline constexpr int kNotGiven = -1;

struct SamplingOptions {
  double temperature = 1;
  int64_t top_k = 0;
  double top_p = 1, min_p = 0, repetition_penalty = 1, presence_penalty = 0, frequency_penalty = 0;
  int64_t min_new_tokens = 0;
  std::vector<std::string> stop;
  // Set: the first five may be kNotGiven, which stands for what the model's generation_config.json says, and where that says nothing, for
  // what stands here.
  const SamplingOptions* fallback = nullptr;

  // As a command has them that asks the model: nothing given. `fallback` must outlive what is made of it.
  static SamplingOptions of_model(const SamplingOptions& fallback);

  void visit(Fields& v);
  // What the engine takes; `stop` is for its door (CompletionRequest). Usage errors name what is out of range.
  SamplingParams params(int64_t max_new_tokens) const;
};

}  // namespace r1::engine
