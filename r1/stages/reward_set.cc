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
    parts_.push_back({labels[i], weights.empty() ? 1.0 : weights[i], std::move(reward), {}, 0, 0, {}});
  }
}

void RewardSet::warn_of_constants(int64_t max_completion_length) const {
  for (const auto& part : parts_)
    if (const std::string why = part.reward->constant_up_to(max_completion_length); !why.empty()) log_warning("reward ", why);
}

void RewardSet::try_commands(const tasks::Task& task) const {
  for (const auto& part : parts_) {
    if (part.name.rfind("exec", 0) != 0) continue;
    const tasks::Problem problem = task.problem("train", 0);
    tasks::RewardInput input;
    input.problem = &problem;
    input.completion = problem.solution.empty() ? problem.gold : problem.solution;
    input.tokens = 1;
    input.score = task.score(problem, input.completion);
    const auto given = (*part.reward)({&input, 1});
    const auto failures = part.reward->take_failures();
    if (!failures.empty())
      fail_usage("reward ", part.name, " failed (", failures.begin()->first, ") on the first sample it was tried on, the known answer of ",
                 problem.id, "; the warning above has what it wrote. docs/rewards.md says what it is given and what it must print");
    log_info("reward ", part.name, " gives ", given.at(0) ? str(*given[0]) : "nothing (it does not apply)", " for the known answer of ",
             problem.id);
  }
}

std::vector<std::string> RewardSet::names() const {
  std::vector<std::string> out;
  for (const auto& part : parts_) out.push_back(part.name);
  return out;
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
  for (auto& part : parts_) part.dead = part.values.empty() && !part.failures.empty() ? part.dead + 1 : 0;
  const bool any = std::any_of(rollout.samples.begin(), rollout.samples.end(), [](const Sample& s) { return s.reward.has_value(); });
  unrewarded_ = any ? 0 : unrewarded_ + 1;
}

std::string RewardSet::dead_reason() const {
  for (const auto& part : parts_) {
    if (part.dead < kMostDead) continue;
    std::string why;
    for (const auto& [kind, number] : part.failures) why += str(why.empty() ? "" : ", ", kind, " ", number, " times in the last one");
    return str("reward ", part.name, " has failed on every sample of ", part.dead, " rollouts (", why, ")");
  }
  if (unrewarded_ >= kMostDead) return str("no sample of ", unrewarded_, " rollouts has had a reward: none of them applies");
  return "";
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
