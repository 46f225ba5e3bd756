// Chapter 3: reasoning by reinforcement learning on verifiable tasks. GRPO as published: a group of completions a prompt, rewards by rule,
// group-normalised advantages, clipped ratio against the rollout's own log-probabilities, k3 KL to a reference that may be reset. The
// engine samples from the trainer's own weights: nothing is synchronised.
//
// Batch arithmetic (as in TRL): a rollout makes per_device_train_batch_size * steps_per_generation completions; an optimizer step uses
// per_device_train_batch_size * gradient_accumulation_steps of them; all are used num_iterations times. Checkpoints fall on rollout
// boundaries, so no buffer need be saved. Without max_steps and num_train_epochs a run has kFirstSteps steps: enough to see whether the reward
// moves.
#pragma once

#include "r1/engine/engine.h"
#include "r1/eval/harness.h"
#include "r1/stages/grpo_loss.h"
#include "r1/stages/preflight.h"
#include "r1/stages/rollout.h"
#include "r1/stages/run.h"
#include "r1/stages/sampler_correction.h"
#include "r1/tasks/monitors.h"

namespace r1::stages {

inline constexpr int64_t kFirstSteps = 100;

struct GrpoConfig {
  // Four prompts of eight completions a step.
  RunArgs run{.num_train_epochs = 0, .per_device_train_batch_size = 32};
  ModelArgs model;
  TaskArgs task;
  data::PromptArgs prompt;
  train::TrainerConfig trainer{.learning_rate = 1e-6};  // of pretrained weights; as TRL's GRPOConfig
  SamplingArgs sampling;
  GrpoLossArgs loss;
  SamplerCorrectionArgs correction;
  engine::EngineConfig engine{.gpu_memory_utilization = 0.3};  // the trainer's activations and moments need the rest
  std::vector<std::string> train_files, eval_files;
  std::vector<std::string> reward_funcs = {"accuracy"};
  std::vector<double> reward_weights;
  FreeForm reward_options;
  std::string scale_rewards = "group";
  int64_t steps_per_generation = 0, num_iterations = 1, ref_model_sync_steps = 0;
  int64_t eval_steps = 0, eval_limit = 200, log_completions = 2, reward_workers = 0;
  double reward_deadline = 30;
  std::vector<std::string> max_completion_length_changes;  // "8200=65536": from step 8200 on
  tasks::MonitorArgs monitor;
  bool mask_truncated_completions = false, shuffle_minibatches = true;

  void visit(Fields& v);
};

// Usage error for what can be known to be wrong before anything is loaded.
void check(const GrpoConfig& config, const Preflight& preflight);
Json grpo(const GrpoConfig& config);

}  // namespace r1::stages
