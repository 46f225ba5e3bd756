// Chapter 1: a base model from raw text. Text files, JSONL with a text field, token shards that r1 data run has made, or the endless stream of
// a generated task. Files are tokenized once, into token_shards/ of the run's folder (data/token_shards.h), and read from there.
#pragma once

#include "r1/model/config.h"
#include "r1/stages/parallel.h"
#include "r1/stages/preflight.h"
#include "r1/stages/run.h"
#include "r1/stages/supervised.h"

namespace r1::stages {

struct PretrainConfig {
  RunArgs run;
  ModelArgs model;
  TaskArgs task;
  train::TrainerConfig trainer;
  std::string preset = "tiny-1m", text_field = "text";
  FreeForm shape;
  std::vector<std::string> train_files, eval_files;
  int64_t max_length = 1024, eval_steps = 0;
  std::string packing_strategy = "wrapped";
  bool packing_isolate = true;
  BatchArgs batches;
  ParallelArgs parallel;

  void visit(Fields& v);
};

// `preset` with the changes of `shape`, long enough for max_length; the vocabulary is still the preset's, until a tokenizer says otherwise.
model::ModelConfig named_shape(const PretrainConfig& config);

// Usage error for what can be known to be wrong before anything is loaded.
void check(const PretrainConfig& config, const Preflight& preflight);
// Trains (or goes on, or finds it done) and returns the results that stage.json holds.
Json pretrain(const PretrainConfig& config);

}  // namespace r1::stages
