#include "r1/stages/reward_set.h"

#include <chrono>
#include <cmath>

namespace r1::stages {

RewardSet::RewardSet(const std::vector<std::string>& names, const std::vector<double>& weights, const FreeForm& options) {
  if (names.empty()) fail_usage("reward_funcs is empty: there is nothing to learn from");
  if (!weights.empty() && weights.size() != names.size())
    fail_usage("reward_weights has ", weights.size(), " numbers for ", names.size(), " reward_funcs");
  std::map<std::string, Json> of;
  for (const auto& [key, value] : options) {
    const size_t dot = key.find('.');
    const std::string name = key.substr(0, dot);
    if (dot == std::string::npos || std::find(names.begin(), names.end(), name) == names.end())
      fail_usage("reward_options.", key, ": write reward_options.<reward>.<option> for one of reward_funcs");
    of[name][key.substr(dot + 1)] = value;
  }
  for (size_t i = 0; i < names.size(); ++i) {
    const auto it = of.find(names[i]);
    parts_.push_back(
        {names[i], weights.empty() ? 1.0 : weights[i], tasks::make_reward(names[i], it == of.end() ? Json::object() : it->second), {}, 0});
  }
}

void RewardSet::score(Rollout& rollout, const tasks::Task& task) {
  const auto start = std::chrono::steady_clock::now();
  for (auto& part : parts_) part.values.clear(), part.skipped = 0;
  const size_t group_size = rollout.samples.size() / rollout.problems.size();
  for (size_t g = 0; g < rollout.problems.size(); ++g) {
    const auto samples = std::span(rollout.samples).subspan(g * group_size, group_size);
    std::vector<tasks::RewardInput> inputs;
    for (auto& sample : samples) {
      sample.score = task.score(rollout.problems[g], sample.text);
      sample.reward = 0;
      inputs.push_back({&rollout.problems[g], sample.text, int64_t(sample.completion.size()),
                        sample.finish == engine::FinishReason::kLength, sample.score});
    }
    for (auto& part : parts_) {
      const auto values = (*part.reward)(inputs);
      for (size_t i = 0; i < samples.size(); ++i) {
        if (!values[i]) {
          ++part.skipped;
          continue;
        }
        samples[i].reward += part.weight * *values[i];
        part.values.push_back(*values[i]);
      }
    }
  }
  rollout.reward_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void RewardSet::add_metrics(Json& line) const {
  for (const auto& part : parts_) {
    double mean = 0, square = 0;
    const double n = double(part.values.size());
    for (double v : part.values) mean += v / n;
    for (double v : part.values) square += (v - mean) * (v - mean);
    if (n > 0) line["rewards/" + part.name + "/mean"] = mean;
    if (n > 0) line["rewards/" + part.name + "/std"] = n > 1 ? std::sqrt(square / (n - 1)) : 0.0;
    if (part.skipped) line["rewards/" + part.name + "/skipped"] = part.skipped;
  }
}

}  // namespace r1::stages
