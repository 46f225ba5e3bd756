// From a rollout to the micro-batches of the update, and the numbers that describe it.
#pragma once

#include <filesystem>

#include "r1/data/batch.h"
#include "r1/stages/advantage.h"
#include "r1/stages/reward_set.h"
#include "r1/stages/rollout.h"
#include "r1/tasks/monitors.h"

namespace r1::stages {

struct GrpoBatchOptions {
  int64_t samples_per_batch = 8, max_completion_length = 256;
  std::string loss_type = "grpo";
  bool mask_truncated = false;
};

// Packed rows of prompt + completion, samples_per_batch documents each; loss_weight is token_weight() on completion tokens and 0 elsewhere
// (bnpo: 1 in all for each batch).
// A sample's last token is a target only. `order_seed`: shuffle the samples over the batches (null: in order).
std::vector<data::Batch> make_batches(const Rollout& rollout, const std::vector<float>& advantages, const GrpoBatchOptions& options,
                                      const uint64_t* order_seed);

Advantages group_rewards(const Rollout& rollout, const std::string& scale);

// TRL's names: reward, reward_std, frac_reward_zero_std, rewards/<f>/mean, completions/...; and accuracy; verdicts/<verdict>, shares of the
// samples; reward/unscored, samples without any reward, where there are some; time/sampling, time/rewards (thread seconds of scoring),
// time/reward_wait (seconds waited for it after generation), reward/overlap (share of the scoring that was done during generation).
Json rollout_metrics(const Rollout& rollout, const RewardSet& rewards, const std::string& scale);

// A rollout as the reward-hacking monitors see it.
tasks::MonitorRollout monitor_rollout(const Rollout& rollout, const RewardSet& rewards, double frac_zero_std);

// The first `count` samples of the rollout, a line each in completions.jsonl: {"step", "id", "question", "gold", "completion", "extracted",
// "verdict", "reward", "rewards": {name: value}, "tokens", "finish"}; a reward is null where there is none. `names`: of the rewards.
// Those of steps after `step` are dropped first when a run goes on (drop_completions_after).
void keep_completions(const std::filesystem::path& folder, int64_t step, const Rollout& rollout, const std::vector<std::string>& names,
                      int64_t count);

void drop_completions_after(const std::filesystem::path& folder, int64_t step);

}  // namespace r1::stages
