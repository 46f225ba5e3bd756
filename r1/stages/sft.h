// Chapter 2: supervised fine-tuning on conversations (chat JSONL) or on a task's own worked examples. Only the assistant's tokens are
// learned.
#pragma once

#include "r1/data/prompt.h"
#include "r1/stages/run.h"

namespace r1::stages {

struct SftConfig {
  RunArgs run;
  ModelArgs model;
  TaskArgs task;
  data::PromptArgs prompt;
  train::TrainerConfig trainer;
  std::vector<std::string> train_files, eval_files;
  int64_t max_length = 1024, eval_steps = 0, num_examples = 0;
  std::string packing_strategy = "bfd", long_documents = "truncate";

  void visit(Fields& v);
};

Json sft(const SftConfig& config);

}  // namespace r1::stages
