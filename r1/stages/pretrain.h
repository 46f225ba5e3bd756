// Chapter 1: a base model from raw text. Text files, JSONL with a text field, or the endless stream of a generated task. Files are
// tokenized once, into token_shards/ of the run's folder (data/token_shards.h), and read from there.
#pragma once

#include "r1/model/config.h"
#include "r1/stages/run.h"

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
  bool packing_isolate = true;

  template <class V>
  void visit(V& v) {
    v.group("", run);
    v.group("", model);
    v.group("", task);
    v.group("", trainer);
    v("preset", preset, "a named shape (r1 plan --list_presets), used when no model_name_or_path is given");
    v("shape", shape, "changes to the named shape: shape.<field of the model config>=value, e.g. shape.num_hidden_layers=2");
    v("train_files", train_files, "text or JSONL files; or give a generated task");
    v("eval_files", eval_files, "held-out text for eval_loss");
    v("text_field", text_field, "the field of JSONL rows that holds the text");
    v("max_length", max_length, "tokens of a packed row", Range{8, 1e7});
    v("packing_isolate", packing_isolate,
      "attention stays inside a document (false: a row is one sequence, as in DeepSeek-V3's pretraining)");
    v("eval_steps", eval_steps, "steps between evaluations of eval_loss; 0: only at the end", Range{0, 1e9});
  }
};

// `preset` with the changes of `shape`, long enough for max_length; the vocabulary is still the preset's, until a tokenizer says otherwise.
model::ModelConfig named_shape(const PretrainConfig& config);

// Trains (or goes on, or finds it done) and returns the results that stage.json holds.
Json pretrain(const PretrainConfig& config);

}  // namespace r1::stages
