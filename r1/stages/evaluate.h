// Evaluation as a command and as a recipe's stage: a model, a task, a result with every sample kept.
#pragma once

#include "r1/engine/engine.h"
#include "r1/eval/harness.h"
#include "r1/stages/run.h"

namespace r1::stages {

struct EvalConfig {
  std::string output_dir, device = "auto";
  ModelArgs model;
  TaskArgs task;
  data::PromptArgs prompt;
  eval::EvalArgs eval;
  engine::EngineConfig engine;

  void visit(Fields& v);
};

// Throws kInterrupted on Ctrl-C, after saving what was scored.
Json evaluate(const EvalConfig& config);

}  // namespace r1::stages
