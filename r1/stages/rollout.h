// Samples of the current policy, with everything the update needs: ids, the log-probabilities they were sampled with, rewards. Rollout k is
// a pure function of (seed, k, weights): it can be made again after a resume.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "r1/data/prompt.h"
#include "r1/engine/completion.h"
#include "r1/engine/sampling_options.h"
#include "r1/tasks/scoring.h"
#include "r1/tasks/task.h"

namespace r1::stages {

struct SamplingArgs : engine::SamplingOptions {
  int64_t num_generations = 8, max_completion_length = 256;

  void visit(Fields& v);
};

struct Sample {
  int64_t group = 0;  // which prompt of the rollout
  std::vector<text::TokenId> prompt, completion;
  std::vector<float> logprobs;  // of completion
  std::string text;
  engine::FinishReason finish = engine::FinishReason::kNone;
  tasks::Score score;
  bool scored = false;                         // false: late (verdict timeout) or the check threw (crash)
  std::vector<std::optional<double>> rewards;  // of each reward of the pool
  tasks::SampleMeasures measures;              // if the pool measures
  std::optional<double> reward;                // the weighted sum (RewardSet); nothing if no reward applied
};

struct Rollout {
  std::vector<tasks::Problem> problems;    // one a group
  std::vector<Sample> samples;             // groups one after the other
  std::optional<double> draft_acceptance;  // of speculation
  double seconds = 0;                      // of generation
  tasks::ScoringTimes scoring;
  std::vector<std::map<std::string, int64_t>> reward_failures;  // of each reward of the pool: why it gave nothing
};

// Which problems rollout k takes: the train split in an order shuffled anew every pass.
std::vector<int64_t> problem_order(int64_t split_size, int64_t count, int64_t rollout, uint64_t seed);

struct RolloutProgress {
  // After each engine step, and while the last scores are waited for. False: stop; the rollout is thrown away.
  std::function<bool(int64_t finished, int64_t total)> on_step;
};

// Empty samples if it was stopped. `pool` (of the same task) scores each sample as soon as it ends; the rollout comes back scored, after at
// most the pool's deadline.
Rollout sample_rollout(engine::Engine& engine, const text::Tokenizer& tokenizer, const data::PromptMaker& prompts, const tasks::Task& task,
                       tasks::ScoringPool& pool, const std::string& split, const std::vector<int64_t>& problems, const SamplingArgs& args,
                       uint64_t seed, const RolloutProgress& progress = {});

}  // namespace r1::stages
