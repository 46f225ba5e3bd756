#include "r1/tasks/length_reward.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "r1/base/error.h"

namespace r1::tasks {

namespace {

class Length : public Reward {
 public:
  std::vector<std::optional<double>> operator()(std::span<const RewardInput> group) const override {
    std::vector<std::optional<double>> out;
    if (group.empty()) return out;
    const auto [shortest, longest] =
        std::minmax_element(group.begin(), group.end(), [](const auto& a, const auto& b) { return a.tokens < b.tokens; });
    const double lo = double(shortest->tokens), hi = double(longest->tokens);
    for (const auto& input : group) {
      const double lambda = hi > lo ? 0.5 - (double(input.tokens) - lo) / (hi - lo) : 0.0;
      out.push_back(is_right(input) ? lambda : std::min(0.0, lambda));
    }
    return out;
  }
};

class SoftOverlong : public SingleReward {
 public:
  SoftOverlong(double limit, double cache)
      : SingleReward([=](const RewardInput& i) {
          const double length = double(i.tokens), begin = limit - cache;
          return length <= begin ? 0.0 : length <= limit ? (begin - length) / cache : -1.0;
        }),
        begin_(limit - cache) {}
  std::string constant_up_to(int64_t max_completion_length) const override {
    if (double(max_completion_length) > begin_) return "";
    return str("soft_overlong_punishment is 0 for every completion: it begins beyond ", begin_,
               " tokens (max_length - cache), and max_completion_length is ", max_completion_length,
               "; set reward_options.soft_overlong_punishment.max_length to max_completion_length");
  }

 private:
  double begin_;
};

}  // namespace

std::unique_ptr<Reward> make_length_reward(OptionReader&) {
  return std::make_unique<Length>();
}

std::unique_ptr<Reward> make_cosine_reward(OptionReader& o) {
  const double limit = o.number("max_length", 1024, 1, 1e9), right_short = o.number("right_short", 1.0, -100, 100),
               right_long = o.number("right_long", 0.5, -100, 100), wrong_short = o.number("wrong_short", -1.0, -100, 100),
               wrong_long = o.number("wrong_long", -0.5, -100, 100);
  return single_reward([=](const RewardInput& i) {
    const double from = is_right(i) ? right_short : wrong_short, to = is_right(i) ? right_long : wrong_long;
    const double cosine = std::cos(std::numbers::pi * std::min(1.0, double(i.tokens) / limit));
    return to + 0.5 * (from - to) * (1.0 + cosine);
  });
}

std::unique_ptr<Reward> make_soft_overlong_reward(OptionReader& o) {
  const double limit = o.number("max_length", 16384, 1, 1e9), cache = o.number("cache", 4096, 1, 1e9);
  if (cache > limit) fail_usage("reward soft_overlong_punishment: cache (", cache, ") is larger than max_length (", limit, ")");
  return std::make_unique<SoftOverlong>(limit, cache);
}

}  // namespace r1::tasks
