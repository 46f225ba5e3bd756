#include "r1/tasks/text_reward.h"

namespace r1::tasks {

std::unique_ptr<Reward> make_repetition_reward(OptionReader& o) {
  const int n = int(o.integer("n", 3, 1, 100));
  const double most = o.number("max_penalty", 1.0, 0, 100);
  return single_reward([=](const RewardInput& i) { return -most * repetition(i.completion, n); });
}

std::unique_ptr<Reward> make_language_reward(OptionReader& o) {
  const std::string language = o.one_of("language", "en", {"en", "zh"});
  return single_reward([language](const RewardInput& i) { return language_share(without_tags(thought_of(i.completion)), language); });
}

}  // namespace r1::tasks
