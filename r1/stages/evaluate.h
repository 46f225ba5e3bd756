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
  eval::PromptArgs prompt;
  eval::EvalArgs eval;
  engine::EngineConfig engine;

  template <class V>
  void visit(V& v) {
    v("output_dir", output_dir, "where samples.jsonl and result.json go");
    v("device", device, "cpu, cuda, cuda:N; auto: the GPU if there is one");
    v.group("", model);
    v.group("", task);
    v.group("", prompt);
    v.group("", eval);
    v.group("engine", engine);
  }
};

// Throws kInterrupted on Ctrl-C, after saving what was scored.
Json evaluate(const EvalConfig& config);

}  // namespace r1::stages
