// Evaluation as a command and as a recipe's stage: a model, a task, a result with every sample and where it comes from.
#pragma once

#include "r1/engine/engine.h"
#include "r1/eval/harness.h"
#include "r1/stages/preflight.h"
#include "r1/stages/run.h"

namespace r1::stages {

struct EvalConfig {
  std::string output_dir, device = "auto";
  bool overwrite_output_dir = false, save = true;
  InferenceArgs model;
  TaskArgs task;
  data::PromptArgs prompt;
  eval::EvalArgs eval;
  engine::EngineConfig engine;

  void visit(Fields& v);
};

// Usage error for what can be known to be wrong before anything is loaded.
void check(const EvalConfig& config, const Preflight& preflight);
// The result as result.json has it. What is kept: docs/eval.md. An earlier result of the same config, weights and data is taken as it is, one
// of another config refused. Throws kInterrupted on Ctrl-C, after saving what was scored.
Json run_evaluation(const EvalConfig& config);
// The same, and says the result in a line: a recipe's stage.
Json evaluate(const EvalConfig& config);

}  // namespace r1::stages
