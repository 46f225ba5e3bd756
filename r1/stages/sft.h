// Chapter 2: supervised fine-tuning on conversations (chat JSONL) or on a task's own worked examples. Only the assistant's tokens are
// learned.
#pragma once

#include "r1/data/prompt.h"
#include "r1/stages/parallel.h"
#include "r1/stages/preflight.h"
#include "r1/stages/run.h"
#include "r1/stages/supervised.h"

namespace r1::stages {

struct SftConfig {
  RunArgs run;
  ModelArgs model;
  TaskArgs task;
  data::PromptArgs prompt;
  train::TrainerConfig trainer{.learning_rate = 2e-5};  // of pretrained weights; as TRL's SFTConfig
  std::vector<std::string> train_files, eval_files;
  int64_t max_length = 1024, eval_steps = 0, num_examples = 0;
  std::string packing_strategy = "bfd", long_documents = "truncate";
  BatchArgs batches;
  ParallelArgs parallel;

  void visit(Fields& v);
};

// Usage error for what can be known to be wrong before anything is loaded.
void check(const SftConfig& config, const Preflight& preflight);
Json sft(const SftConfig& config);

}  // namespace r1::stages
