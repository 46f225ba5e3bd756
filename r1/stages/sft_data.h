// What supervised fine-tuning and distillation train on: conversations in files (chat JSONL), or a task's own worked examples; and the rows
// that are held out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "r1/stages/sft.h"
#include "r1/stages/supervised.h"

namespace r1::stages {

// The worked examples of a task's train split: problem i with its i-th variant of a completion. `wanted` of them, which may be more than it has
// problems; 0: one of each. Both must outlive it.
std::unique_ptr<data::DocumentSource> task_examples(const tasks::Task& task, const data::PromptMaker& prompts, int64_t wanted);

// What a config names: files, or else a task.
struct SftSources {
  std::vector<std::string> train_files, eval_files;
  std::unique_ptr<tasks::Task> task;  // null: train_files
};
// Usage error for what can be known to be wrong with the data before anything is loaded; `stage` is who asks.
void check_sft_data(const SftConfig& config, const Preflight& preflight, const char* stage);
// Warns where a file is among both.
SftSources sft_sources(const SftConfig& config, const char* stage);

// The documents and rows of the sources, for train_supervised. Keeps tokenized files in the run's folder.
struct SftData {
  std::unique_ptr<data::DocumentSource> documents;
  SupervisedData data;
};
// `sources` and `prompts` must outlive it. `make`: tokenizes files that are not; else they must have been. Says, before a run's first step, what is lost of the data, and shows the first document.
SftData open_sft_data(const SftConfig& config, const SftSources& sources, const Run& run, const LoadedModel& loaded,
                      const data::PromptMaker& prompts, bool make = true);

}  // namespace r1::stages
