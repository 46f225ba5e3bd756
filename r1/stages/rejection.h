// Chapter 4: rejection sampling. n answers a problem; the right ones, filtered as in R1's section 3 (repetition, mixed language, length),
// go out as rows that `r1 sft` takes: "messages", or "prompt" and "completion" where the question was asked as plain text. Beside that file X.jsonl stand X.samples.jsonl (every sample with its verdict and its fate) and
// X.result.json (config, counts). Goes on where it was stopped: finished problems are in X.jsonl.progress already. A finished result is not
// made again, and never written over by another config.
#pragma once

#include "r1/data/prompt.h"
#include "r1/engine/engine.h"
#include "r1/stages/preflight.h"
#include "r1/stages/rollout.h"
#include "r1/stages/run.h"

namespace r1::stages {

struct RejectionConfig {
  std::string output_file, device = "auto", split = "train", language, keep = "right";
  ModelArgs model;
  TaskArgs task;
  data::PromptArgs prompt;
  SamplingArgs sampling;
  engine::EngineConfig engine;
  int64_t seed = 1, limit = 0, max_kept = 4, min_tokens = 0, chunk = 64;
  double max_repetition = 0.3, min_language_share = 0.95;
  bool drop_solved = false, save_samples = true, overwrite = false;

  bool in_recipe = false;  // not a setting: who runs several stages says itself what comes next

  void visit(Fields& v);
};

// Usage error for what can be known to be wrong before anything is loaded.
void check(const RejectionConfig& config, const Preflight& preflight);
// {"problems","samples","right","kept","dropped":{reason: count},"file"}
Json rejection(const RejectionConfig& config);

}  // namespace r1::stages
