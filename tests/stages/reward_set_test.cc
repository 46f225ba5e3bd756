#include "r1/stages/reward_set.h"

#include <gtest/gtest.h>

#include <cmath>

#include "r1/base/error.h"
#include "r1/stages/grpo_batch.h"

namespace r1::stages {
namespace {

// Two groups of two, scored: sample 1 by accuracy only, sample 2 not at all.
Rollout scored_rollout() {
  Rollout out;
  out.problems.resize(2);
  out.samples.resize(4);
  for (size_t i = 0; i < 4; ++i) {
    Sample& s = out.samples[i];
    s.group = int64_t(i / 2);
    s.scored = i != 2;
    s.completion.resize(3 + i);
    s.rewards = {1.0, 0.5, 0.25};
    s.score.verdict = i == 2 ? tasks::Verdict::kTimeout : tasks::Verdict::kRight;
  }
  out.samples[1].rewards = {0.0, std::nullopt, std::nullopt};
  out.samples[2].rewards.assign(3, std::nullopt);
  out.reward_failures = {{}, {}, {{"timeout", 1}, {"malformed", 1}}};
  return out;
}

TEST(RewardSet, SumsWhatAppliesWithItsWeight) {
  RewardSet set({"accuracy", "format", "language_consistency"}, {1, 2, 4}, {{"language_consistency.language", "zh"}});
  EXPECT_EQ(set.rewards().size(), 3u);
  Rollout rollout = scored_rollout();
  set.combine(rollout);
  EXPECT_DOUBLE_EQ(*rollout.samples[0].reward, 1 + 2 * 0.5 + 4 * 0.25);
  EXPECT_DOUBLE_EQ(*rollout.samples[1].reward, 0) << "a wrong answer: 0 and not nothing";
  EXPECT_FALSE(rollout.samples[2].reward) << "not scored: nothing and not 0";
  Json line = Json::object();
  set.add_metrics(line);
  EXPECT_DOUBLE_EQ(line.at("rewards/accuracy/mean"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(line.at("rewards/format/mean"), 0.5);
  EXPECT_EQ(line.at("rewards/accuracy/skipped"), 1);
  EXPECT_EQ(line.at("rewards/format/skipped"), 2);
  EXPECT_EQ(line.at("rewards/language_consistency/failed"), 2);
  EXPECT_EQ(line.at("rewards/language_consistency/failed_timeout"), 1);
  EXPECT_FALSE(line.contains("rewards/format/failed"));
  EXPECT_EQ(set.failed(), 2);
}

TEST(RewardSet, TheRolloutInNumbers) {
  RewardSet set({"accuracy", "format", "language_consistency"}, {}, {});
  Rollout rollout = scored_rollout();
  set.combine(rollout);
  const Json line = rollout_metrics(rollout, set, "group");
  EXPECT_DOUBLE_EQ(line.at("reward"), (1.75 + 0 + 1.75) / 3);
  EXPECT_EQ(line.at("reward/unscored"), 1);
  EXPECT_DOUBLE_EQ(line.at("verdicts/timeout"), 0.25);
  EXPECT_DOUBLE_EQ(line.at("verdicts/right"), 0.75);
  EXPECT_DOUBLE_EQ(line.at("verdicts/crash"), 0);
  EXPECT_DOUBLE_EQ(line.at("frac_reward_zero_std"), 0.5) << "a group of one scored sample";
  const auto advantages = group_rewards(rollout, "group").values;
  EXPECT_EQ(advantages[2], 0.0f);
  EXPECT_EQ(advantages[3], 0.0f);
  EXPECT_GT(advantages[0], 0.0f);
  const auto seen = monitor_rollout(rollout, set, 0.5);
  EXPECT_EQ(seen.group_rewards, (std::vector<double>{0.875, 1.75}));
  EXPECT_FALSE(seen.samples[2].scored);
  EXPECT_EQ(seen.samples[3].tokens, 6);
  EXPECT_EQ(seen.reward_values, 12);
  EXPECT_EQ(seen.reward_values_failed, 2);
  // Nothing scored at all.
  for (auto& s : rollout.samples) s.rewards.assign(3, std::nullopt);
  set.combine(rollout);
  EXPECT_FALSE(rollout_metrics(rollout, set, "group").contains("reward"));
  for (float a : group_rewards(rollout, "group").values) EXPECT_EQ(a, 0.0f);
}

TEST(RewardSet, WrongSettingsAreUsageErrors) {
  EXPECT_THROW(RewardSet({}, {}, {}), Error);
  EXPECT_THROW(RewardSet({"accuracy"}, {1, 2}, {}), Error);
  EXPECT_THROW(RewardSet({"accuracy"}, {}, {{"format.allow_empty_thought", "true"}}), Error);
  EXPECT_THROW(RewardSet({"accuracy"}, {}, {{"accuracy", "1"}}), Error);
  EXPECT_THROW(RewardSet({"format"}, {}, {{"format.alow", "true"}}), Error);
}

}  // namespace
}  // namespace r1::stages
