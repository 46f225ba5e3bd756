#include "r1/stages/reward_set.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/stages/spread.h"

namespace r1::stages {

namespace {

// exec:<command> goes by the name exec.
std::string option_name(const std::string& name) {
  return name.rfind("exec:", 0) == 0 ? "exec" : name;
}

std::vector<std::string> labels_of(const std::vector<std::string>& names) {
  std::vector<std::string> out;
  int64_t execs = 0;
  for (const auto& name : names) {
    const bool exec = option_name(name) != name;
    execs += exec;
    out.push_back(exec && execs > 1 ? str("exec", execs) : option_name(name));
  }
  return out;
}

}  // namespace

RewardSet::RewardSet(const std::vector<std::string>& names, const std::vector<double>& weights, const FreeForm& options) {
  if (names.empty()) fail_usage("reward_funcs is empty: there is nothing to learn from");
  if (!weights.empty() && weights.size() != names.size())
    fail_usage("reward_weights has ", weights.size(), " numbers for ", names.size(), " reward_funcs");
  std::map<std::string, Json> of;
  for (const auto& [key, value] : options) {
    const size_t dot = key.find('.');
    const std::string name = key.substr(0, dot);
    if (dot == std::string::npos || std::none_of(names.begin(), names.end(), [&](const auto& n) { return option_name(n) == name; }))
      fail_usage("reward_options.", key, ": write reward_options.<reward>.<option> for one of reward_funcs");
    of[name][key.substr(dot + 1)] = value;
  }
  const auto labels = labels_of(names);
  for (size_t i = 0; i < names.size(); ++i) {
    const auto it = of.find(option_name(names[i]));
    auto reward = tasks::make_reward(names[i], it == of.end() ? Json::object() : it->second);
    parts_.push_back({labels[i], weights.empty() ? 1.0 : weights[i], std::move(reward), {}, 0, {}});
  }
}

void RewardSet::warn_of_constants(int64_t max_completion_length) const {
  for (const auto& part : parts_)
    if (const std::string why = part.reward->constant_up_to(max_completion_length); !why.empty()) log_warning("reward ", why);
}

std::vector<const tasks::Reward*> RewardSet::rewards() const {
  std::vector<const tasks::Reward*> out;
  for (const auto& part : parts_) out.push_back(part.reward.get());
  return out;
}

void RewardSet::combine(Rollout& rollout) {
  for (size_t r = 0; r < parts_.size(); ++r) {
    parts_[r].values.clear();
    parts_[r].skipped = 0;
    parts_[r].failures = rollout.reward_failures.at(r);
  }
  for (auto& sample : rollout.samples) {
    sample.reward.reset();
    for (size_t r = 0; r < parts_.size(); ++r) {
      Part& part = parts_[r];
      const auto& value = sample.rewards.at(r);
      if (!value) {
        ++part.skipped;
        continue;
      }
      sample.reward = sample.reward.value_or(0.0) + part.weight * *value;
      part.values.push_back(*value);
    }
  }
}

int64_t RewardSet::failed() const {
  int64_t out = 0;
  for (const auto& part : parts_)
    for (const auto& [why, n] : part.failures) out += n;
  return out;
}

void RewardSet::add_metrics(Json& line) const {
  for (const auto& part : parts_) {
    if (!part.values.empty()) {
      const Spread given = spread(part.values);
      line["rewards/" + part.name + "/mean"] = given.mean;
      line["rewards/" + part.name + "/std"] = given.std;
    }
    if (part.skipped) line["rewards/" + part.name + "/skipped"] = part.skipped;
    int64_t failed = 0;
    for (const auto& [why, number] : part.failures) line["rewards/" + part.name + "/failed_" + why] = number, failed += number;
    if (failed) line["rewards/" + part.name + "/failed"] = failed;
  }
}

}  // namespace r1::stages
