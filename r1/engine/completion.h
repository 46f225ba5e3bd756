// Text at the engine's door: prompts in, completions out, with stop strings and streaming. Used by rollout, eval, generate and chat.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "r1/engine/engine.h"
#include "r1/text/tokenizer.h"

namespace r1::engine {

struct CompletionRequest {
  std::vector<TokenId> prompt;
  SamplingParams sampling;
  std::vector<std::string> stop;  // stop strings: the text ends before the first one; ids keep all tokens that were made
  int n = 1;
  std::vector<TokenId> forced;
};

struct Completion {
  std::vector<TokenId> ids;
  std::vector<float> logprobs;                     // per id if asked for
  std::vector<std::vector<TokenAlternative>> top;  // per id if top_logprobs asks for it
  std::string text;                                // special tokens skipped unless keep_special
  FinishReason finish = FinishReason::kNone;
  int64_t model_version = 0;
};

struct CompletionOptions {
  bool keep_special = false;
  // Called for each new piece of whole characters; return false to cancel that sample.
  std::function<bool(size_t prompt, int sample, const std::string& piece)> on_text;
  // Called as soon as a sample is complete, in the order they end (not for those that on_step's false cut off).
  std::function<void(size_t prompt, int sample, const Completion& completion)> on_finished;
  // Called after each engine step with finished samples and total; for progress bars. Return false to stop everything (what is done is
  // returned).
  std::function<bool(int64_t finished, int64_t total, const EngineStats&)> on_step;
};

// Runs all requests to their end. result[i][j] is sample j of request i, in order whatever finished first.
std::vector<std::vector<Completion>> complete(Engine& engine, const text::Tokenizer& tokenizer,
                                              const std::vector<CompletionRequest>& requests, const CompletionOptions& options = {});

}  // namespace r1::engine
