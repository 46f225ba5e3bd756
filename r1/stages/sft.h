// Chapter 2: supervised fine-tuning on conversations (chat JSONL) or on a task's own worked examples. Only the assistant's tokens are
// learned.
#pragma once

#include "r1/eval/prompt.h"
#include "r1/stages/run.h"

namespace r1::stages {

struct SftConfig {
  RunArgs run;
  ModelArgs model;
  TaskArgs task;
  eval::PromptArgs prompt;
  train::TrainerConfig trainer;
  std::vector<std::string> train_files, eval_files;
  int64_t max_length = 1024, eval_steps = 0, num_examples = 0;
  std::string packing_strategy = "bfd", long_documents = "truncate";

  template <class V>
  void visit(V& v) {
    v.group("", run);
    v.group("", model);
    v.group("", task);
    v.group("", prompt);
    v.group("", trainer);
    v("train_files", train_files, "chat JSONL: {\"messages\":[...]} or {\"prompt\",\"completion\"} a line; or give a task");
    v("eval_files", eval_files, "held-out chat JSONL for eval_loss");
    v("num_examples", num_examples, "examples taken from the task; 0: its train split", Range{0, 1e12});
    v("max_length", max_length, "tokens of a packed row", Range{8, 1e7});
    v("packing_strategy", packing_strategy, "how documents fill rows", OneOf{"bfd", "wrapped", "none"});
    v("long_documents", long_documents, "what happens to documents above max_length", OneOf{"truncate", "split", "drop"});
    v("eval_steps", eval_steps, "steps between evaluations of eval_loss; 0: only at the end", Range{0, 1e9});
  }
};

Json sft(const SftConfig& config);

}  // namespace r1::stages
