// The rewards of a run with their weights: makes them, sums what they gave, keeps the numbers.
#pragma once

#include <map>
#include <memory>

#include "r1/base/config.h"
#include "r1/stages/rollout.h"
#include "r1/tasks/reward.h"

namespace r1::stages {

class RewardSet {
 public:
  // options: "<reward>.<option>" -> value; the name of exec:<command> is exec here and in the metrics (exec2, .. for more of them, which
  // share their options). Usage errors: unknown names, a wrong number of weights, options of a reward that is not used.
  RewardSet(const std::vector<std::string>& names, const std::vector<double>& weights, const FreeForm& options);

  // Says of each reward that cannot tell completions of at most that length apart why that is.
  void warn_of_constants(int64_t max_completion_length) const;
  // For the scoring pool, in order.
  std::vector<const tasks::Reward*> rewards() const;
  // Tries each command (exec:..) on the known answer to the first problem of the train split, and says what it gave. A usage error with the
  // reason if it fails: before a model is loaded, instead of after hours.
  void try_commands(const tasks::Task& task) const;
  // The rewards' names, as the metrics have them, in order.
  std::vector<std::string> names() const;
  // Fills the reward of every sample of a scored rollout: the sum of weight * value over the rewards that apply, in their order. A sample
  // to which none applies (it was not scored in time, or all were nothing) has no reward and takes no part in its group's advantages; TRL's
  // nansum makes that a 0, which punishes or pays the sample for what the verifier did.
  void combine(Rollout& rollout);
  // rewards/<name>/mean, /std over the samples it applied to; rewards/<name>/skipped (samples it did not apply to) and /failed (of these,
  // those it should have given a number for), and failed_<why>, where there are any. Of the rollout combined last.
  void add_metrics(Json& line) const;
  // Why training can't go on: a reward has failed on every sample of the last kMostDead rollouts, or no sample has had any reward there. "".
  std::string dead_reason() const;
  // Reward values asked for and not given though they should have been, in the rollout combined last.
  int64_t failed() const;

 private:
  struct Part {
    std::string name;
    double weight = 1;
    std::unique_ptr<tasks::Reward> reward;
    std::vector<double> values;     // where it applied
    int64_t skipped = 0, dead = 0;  // dead: rollouts in a row in which it failed on every sample
    std::map<std::string, int64_t> failures;
  };
  static constexpr int64_t kMostDead = 3;
  std::vector<Part> parts_;
  int64_t unrewarded_ = 0;  // rollouts in a row without a rewarded sample
};

}  // namespace r1::stages
