// Chapter 4: rejection sampling. n answers a problem; the right ones, filtered as in R1's section 3 (repetition, mixed language, length),
// go out as chat JSONL that `r1 sft` takes. Goes on where it was stopped: finished problems are in the file already.
#pragma once

#include "r1/engine/engine.h"
#include "r1/eval/prompt.h"
#include "r1/stages/rollout.h"
#include "r1/stages/run.h"

namespace r1::stages {

struct RejectionConfig {
  std::string output_file, device = "auto", split = "train", language;
  ModelArgs model;
  TaskArgs task;
  eval::PromptArgs prompt;
  SamplingArgs sampling;
  engine::EngineConfig engine;
  int64_t seed = 1, limit = 0, max_kept = 4, min_tokens = 0, chunk = 64;
  double max_repetition = 0.3, min_language_share = 0.95;
  bool drop_solved = false;

  template <class V>
  void visit(V& v) {
    v("output_file", output_file, "chat JSONL that r1 sft takes", Required{});
    v("device", device, "cpu, cuda, cuda:N; auto: the GPU if there is one");
    v.group("", model);
    v.group("", task);
    v.group("", prompt);
    v.group("", sampling);
    v.group("engine", engine);
    v("seed", seed, "seed of the sampling", Range{0, 1e18});
    v("split", split, "which problems", OneOf{"train", "test"});
    v("limit", limit, "first N problems; 0: all", Range{0, 1e12});
    v("max_kept", max_kept, "right answers kept a problem", Range{1, 1e6});
    v("min_tokens", min_tokens, "shorter completions are dropped", Range{0, 1e9});
    v("max_repetition", max_repetition, "share of repeated word 3-grams above which a completion is dropped", Range{0, 1});
    v("language", language, "en or zh: drop completions that mix languages; empty: keep all");
    v("min_language_share", min_language_share, "share of words in `language` below which a completion is dropped", Range{0, 1});
    v("drop_solved", drop_solved, "leave out problems that every sample solves: they teach nothing");
    v("chunk", chunk, "problems sampled together, between two writes", Range{1, 1e6});
  }
};

// {"problems","samples","right","kept","dropped":{reason: count},"file"}
Json rejection(const RejectionConfig& config);

}  // namespace r1::stages
