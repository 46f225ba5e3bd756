// Rewards by rule, by name. A reward sees completions of one problem and gives a number for each, or nothing where it does not apply (or
// could not be had): then it is left out of that sample's sum, and counted.
//
//   here              accuracy: the task's own score, 0..1. A check that timed out or crashed on the answer scores 0 as a wrong answer does
//                     (else an answer that hangs the verifier would pay more than a wrong one), and is counted as what it was. open-r1 and
//                     TRL call Math-Verify and skip the sample when the *gold* answer does not parse; our tasks refuse such a problem when
//                     they load it.
//   format_reward.h   format, format_if_right, tag_count, reasoning_steps
//   length_reward.h   length, cosine, soft_overlong_punishment
//   text_reward.h     repetition_penalty, language_consistency
//   code_reward.h     code, binary_code, ioi_code, cf_code, code_format
//   exec_reward.h     exec:<command>, a user's own program
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "r1/tasks/tagged.h"
#include "r1/tasks/task.h"
#include "r1/tasks/text_measures.h"

namespace r1::tasks {

struct RewardInput {
  const Problem* problem = nullptr;
  std::string completion;
  int64_t tokens = 0;
  bool truncated = false;  // cut off by the length limit
  Score score;
};

// Called from several threads at once.
class Reward {
 public:
  virtual ~Reward() = default;
  virtual std::vector<std::optional<double>> operator()(std::span<const RewardInput> group) const = 0;
  // Does a completion's reward depend on the others of its group? If not, it may be called with one at a time.
  virtual bool compares() const { return true; }
  // "", or why it gives the same number to every completion of at most that many tokens: its parameters and the run's don't fit each other.
  virtual std::string constant_up_to(int64_t max_completion_length) const {
    (void)max_completion_length;
    return "";
  }
  // Why it gave nothing where it should have given a number ("timeout": 3), since the last call.
  virtual std::map<std::string, int64_t> take_failures() const { return {}; }
};

// A reward of one completion by itself.
class SingleReward : public Reward {
 public:
  using Rule = std::function<std::optional<double>(const RewardInput&)>;
  explicit SingleReward(Rule rule) : rule_(std::move(rule)) {}
  std::vector<std::optional<double>> operator()(std::span<const RewardInput> group) const override;
  bool compares() const override { return false; }

 private:
  Rule rule_;
};

inline std::unique_ptr<Reward> single_reward(SingleReward::Rule rule) {
  return std::make_unique<SingleReward>(std::move(rule));
}
inline bool is_right(const RewardInput& input) {
  return input.score.verdict == Verdict::kRight;
}

// Usage errors name the nearest reward or option.
std::unique_ptr<Reward> make_reward(const std::string& name, const Json& options = Json::object());
std::vector<std::string> reward_names();

}  // namespace r1::tasks
