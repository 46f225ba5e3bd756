// Chapter 3: reasoning by reinforcement learning on verifiable tasks. GRPO as published: a group of completions a prompt, rewards by rule,
// group-normalised advantages, clipped ratio against the rollout's own log-probabilities, k3 KL to a reference that may be reset. The
// engine samples from the trainer's own weights: nothing is synchronised.
//
// Batch arithmetic (as in TRL): a rollout makes per_device_train_batch_size * steps_per_generation completions; an optimizer step uses
// per_device_train_batch_size * gradient_accumulation_steps of them; all are used num_iterations times. Checkpoints fall on rollout
// boundaries, so no buffer need be saved.
#pragma once

#include "r1/engine/engine.h"
#include "r1/eval/harness.h"
#include "r1/stages/grpo_loss.h"
#include "r1/stages/rollout.h"
#include "r1/stages/run.h"
#include "r1/tasks/monitors.h"

namespace r1::stages {

struct GrpoConfig {
  RunArgs run;
  ModelArgs model;
  TaskArgs task;
  eval::PromptArgs prompt;
  train::TrainerConfig trainer;
  SamplingArgs sampling;
  GrpoLossArgs loss;
  engine::EngineConfig engine;
  std::vector<std::string> reward_funcs = {"accuracy"};
  std::vector<double> reward_weights;
  FreeForm reward_options;
  std::string scale_rewards = "group";
  int64_t steps_per_generation = 0, num_iterations = 1, ref_model_sync_steps = 0;
  int64_t eval_steps = 0, eval_limit = 200, log_completions = 2, reward_workers = 0;
  double reward_deadline = 30;
  tasks::MonitorArgs monitor;
  bool mask_truncated_completions = false, shuffle_minibatches = true;

  template <class V>
  void visit(V& v) {
    v.group("", run);
    v.group("", model);
    v.group("", task);
    v.group("", prompt);
    v.group("", trainer);
    v.group("", sampling);
    v.group("", loss);
    v.group("engine", engine);
    v("reward_funcs", reward_funcs,
      "rewards, summed: accuracy, format, tag_count, length, cosine, repetition_penalty, language_consistency, ..., exec:<command>");
    v("reward_weights", reward_weights, "a weight for each reward (default: 1 each)");
    v("reward_options", reward_options, "options of rewards: reward_options.<name>.<option>=value");
    v("reward_workers", reward_workers, "threads that score completions while others are generated; 0: as many as CPU threads",
      Range{0, 1024});
    v("reward_deadline", reward_deadline,
      "seconds to wait for scores when generation is over; later ones count as timeout, without reward; 0: wait for all", Range{0, 1e6});
    v("scale_rewards", scale_rewards, "advantages are divided by the standard deviation of the group, of the batch, or not",
      OneOf{"group", "batch", "none"});
    v("steps_per_generation", steps_per_generation, "micro-batches of one rollout; 0: gradient_accumulation_steps", Range{0, 1e6});
    v("num_iterations", num_iterations, "passes over each rollout", Range{1, 1e4});
    v("ref_model_sync_steps", ref_model_sync_steps, "replace the reference by the policy every so many steps (R1: 400); 0: never",
      Range{0, 1e9});
    v("mask_truncated_completions", mask_truncated_completions, "completions cut off by max_completion_length teach nothing");
    v("shuffle_minibatches", shuffle_minibatches, "mix the groups of a rollout over its minibatches");
    v("eval_steps", eval_steps, "steps between greedy evaluations on the test split; 0: never", Range{0, 1e9});
    v("eval_limit", eval_limit, "problems of each such evaluation", Range{1, 1e9});
    v("log_completions", log_completions, "sample completions kept a rollout for the report", Range{0, 1000});
    v.group("monitor", monitor);
  }
};

Json grpo(const GrpoConfig& config);

}  // namespace r1::stages
