// The rewards of a run with their weights: scores a rollout, keeps the numbers.
#pragma once

#include <map>
#include <memory>

#include "r1/base/config.h"
#include "r1/stages/rollout.h"
#include "r1/tasks/reward.h"

namespace r1::stages {

class RewardSet {
 public:
  // options: "<reward>.<option>" -> value. Usage errors: unknown names, a wrong number of weights, options of a reward that is not used.
  RewardSet(const std::vector<std::string>& names, const std::vector<double>& weights, const FreeForm& options);

  // Fills score and reward of every sample: reward = sum of weight * value over the rewards that apply.
  void score(Rollout& rollout, const tasks::Task& task);
  // rewards/<name>/mean, /std, and /skipped where a reward did not apply, of the rollout scored last.
  void add_metrics(Json& line) const;

 private:
  struct Part {
    std::string name;
    double weight = 1;
    std::unique_ptr<tasks::Reward> reward;
    std::vector<double> values;  // where it applied
    int64_t skipped = 0;
  };
  std::vector<Part> parts_;
};

}  // namespace r1::stages
