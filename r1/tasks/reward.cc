#include "r1/tasks/reward.h"

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/tasks/code_reward.h"
#include "r1/tasks/exec_reward.h"
#include "r1/tasks/format_reward.h"
#include "r1/tasks/length_reward.h"
#include "r1/tasks/options.h"
#include "r1/tasks/text_reward.h"

namespace r1::tasks {

namespace {

using Maker = std::function<std::unique_ptr<Reward>(OptionReader&)>;

std::unique_ptr<Reward> make_accuracy_reward(OptionReader&) {
  return single_reward([](const RewardInput& i) { return i.score.accuracy; });
}

const std::vector<std::pair<std::string, Maker>>& makers() {
  static const std::vector<std::pair<std::string, Maker>> kMakers = {
      {"accuracy", make_accuracy_reward},
      {"format", make_format_reward},
      {"format_if_right", make_format_if_right_reward},
      {"tag_count", make_tag_count_reward},
      {"reasoning_steps", make_reasoning_steps_reward},
      {"length", make_length_reward},
      {"cosine", make_cosine_reward},
      {"soft_overlong_punishment", make_soft_overlong_reward},
      {"repetition_penalty", make_repetition_reward},
      {"language_consistency", make_language_reward},
      {"code", make_code},
      {"binary_code", make_binary_code},
      {"ioi_code", make_ioi_code},
      {"cf_code", make_cf_code},
      {"code_format", make_code_format},
  };
  return kMakers;
}

}  // namespace

std::vector<std::optional<double>> SingleReward::operator()(std::span<const RewardInput> group) const {
  std::vector<std::optional<double>> out;
  for (const auto& input : group) out.push_back(rule_(input));
  return out;
}

std::vector<std::string> reward_names() {
  std::vector<std::string> out;
  for (const auto& [name, unused] : makers()) out.push_back(name);
  return out;
}

std::unique_ptr<Reward> make_reward(const std::string& name, const Json& options) {
  const std::string exec = kExecPrefix;
  if (name.compare(0, exec.size(), exec) == 0) {
    OptionReader reader(options, "reward exec");
    auto out = make_exec_reward(name.substr(exec.size()), reader);
    reader.finish();
    return out;
  }
  for (const auto& [known, make] : makers()) {
    if (known != name) continue;
    OptionReader reader(options, "reward " + name);
    auto out = make(reader);
    reader.finish();
    return out;
  }
  fail_usage("unknown reward '", name, "'", did_you_mean(name, reward_names()), " (exec:<command> is your own)");
}

}  // namespace r1::tasks
