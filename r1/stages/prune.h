// A model with less in it: `r1 prune`. Fewer layers, groups of heads or MLP channels give a smaller ordinary model (quant/prune_shape.h, chosen
// by quant/prune_scores.h); --sparsity sets single weights to zero (quant/prune_weights.h). What matters is measured on calibration text: a
// task's examples, conversations or plain text. Training on is another stage: sft or distill, with keep_zeros after --sparsity.
//
// <output_dir>/ the model in HF layout with its tokenizer, and prune.json (config, results, what went), written last.
#pragma once

#include "r1/data/prompt.h"
#include "r1/stages/preflight.h"
#include "r1/stages/run.h"

namespace r1::stages {

struct PruneConfig {
  std::string output_dir, device = "auto", score = "activation", sparsity, sparsity_method = "wanda";
  ModelArgs model;
  TaskArgs task;
  data::PromptArgs prompt;
  std::vector<std::string> train_files;
  int64_t num_examples = 128, max_length = 512, drop_layers = 0, kv_heads = 0, ffn_channels = 0;
  double damping = 0.01;
  bool overwrite = false;

  bool in_recipe = false;  // not a setting: who runs several stages says itself what comes next

  void visit(Fields& v);
};

// Usage error for what can be known to be wrong before anything is loaded.
void check(const PruneConfig& config, const Preflight& preflight);
// {"parameters_before","parameters","loss_before","loss","zeros","layers","kv_heads","ffn_channels","bytes"}
Json prune(const PruneConfig& config);

}  // namespace r1::stages
