#include "r1/tasks/reward.h"

#include <gtest/gtest.h>

#include <cmath>

#include "r1/base/error.h"

namespace r1::tasks {
namespace {

RewardInput input(const std::string& completion, bool right = true, int64_t tokens = 10) {
  RewardInput out;
  out.completion = completion;
  out.tokens = tokens;
  out.score.verdict = right ? Verdict::kRight : Verdict::kWrong;
  out.score.accuracy = right;
  return out;
}

double one(const std::string& name, const RewardInput& in, const Json& options = Json::object()) {
  const RewardInput group[] = {in};
  return make_reward(name, options)->operator()(group)[0].value_or(NAN);
}

TEST(Reward, FormatIsStrict) {
  EXPECT_EQ(one("format", input("<think>a</think><answer>1</answer>")), 1);
  EXPECT_EQ(one("format", input(" <think>\na\n</think>\n<answer>\n1\n</answer>\n")), 1);
  for (const char* bad : {"<think>a</think><answer>1</answer> and more", "<think>a</think><answer>1</answer><answer>2</answer>",
                          "<think>a</think><think>b</think><answer>1</answer>", "<think></think><answer>1</answer>",
                          "<think>a</think><answer> </answer>", "<answer>1</answer><think>a</think>", "x<think>a</think><answer>1</answer>",
                          "<think>a</think>b<answer>1</answer>", "<think>a<answer>1</answer></think>", "", "a</think><answer>1</answer>"})
    EXPECT_EQ(one("format", input(bad)), 0) << bad;
  EXPECT_EQ(one("format", input("<think></think><answer>1</answer>"), {{"allow_empty_thought", true}}), 1);
  EXPECT_EQ(one("format_if_right", input("<think>a</think><answer>1</answer>", false)), 0);
  EXPECT_EQ(one("format_if_right", input("<think>a</think><answer>1</answer>", true)), 1);
}

TEST(Reward, TagCount) {
  EXPECT_DOUBLE_EQ(one("tag_count", input("<think>a</think><answer>1</answer>")), 1);
  EXPECT_DOUBLE_EQ(one("tag_count", input("<think>a</think><think>b</think><answer>1</answer>")), 0.5);
  EXPECT_DOUBLE_EQ(one("tag_count", input("no")), 0);
}

TEST(Reward, LengthComparesTheGroup) {
  const RewardInput group[] = {input("", true, 10), input("", true, 20), input("", false, 10), input("", false, 20), input("", true, 15)};
  const auto r = make_reward("length")->operator()(group);
  EXPECT_DOUBLE_EQ(*r[0], 0.5);
  EXPECT_DOUBLE_EQ(*r[1], -0.5);
  EXPECT_DOUBLE_EQ(*r[2], 0.0);
  EXPECT_DOUBLE_EQ(*r[3], -0.5);
  EXPECT_DOUBLE_EQ(*r[4], 0.0);
  const RewardInput equal[] = {input("", true, 10), input("", false, 10)};
  EXPECT_DOUBLE_EQ(*make_reward("length")->operator()(equal)[0], 0);
}

TEST(Reward, CosineIsClampedAndPrefersShortWhenRightLongWhenWrong) {
  const Json options = {{"max_length", 100}};
  EXPECT_DOUBLE_EQ(one("cosine", input("", true, 0), options), 1.0);
  EXPECT_NEAR(one("cosine", input("", true, 50), options), 0.75, 1e-12);
  EXPECT_NEAR(one("cosine", input("", true, 100), options), 0.5, 1e-12);
  EXPECT_NEAR(one("cosine", input("", true, 200), options), 0.5, 1e-12);  // the known implementation is back at 1.0 here
  EXPECT_DOUBLE_EQ(one("cosine", input("", false, 0), options), -1.0);
  EXPECT_NEAR(one("cosine", input("", false, 100), options), -0.5, 1e-12);
}

TEST(Reward, RepetitionCountsWordsAndChineseCharacters) {
  EXPECT_DOUBLE_EQ(repetition("a b c d", 3), 0);
  EXPECT_DOUBLE_EQ(repetition("a b a b a b", 2), 1 - 2.0 / 5);
  EXPECT_DOUBLE_EQ(repetition("A b a B", 2), 1 - 2.0 / 3);
  EXPECT_EQ(words("我们 go2"), (std::vector<std::string>{"我", "们", "go2"}));
  EXPECT_DOUBLE_EQ(repetition("好好好好", 2), 1 - 1.0 / 3);
  EXPECT_DOUBLE_EQ(one("repetition_penalty", input("a b a b a b"), {{"n", 2}, {"max_penalty", 2}}), -2 * (1 - 2.0 / 5));
}

TEST(Reward, SoftOverlongIsDapoEquation13) {
  const Json options = {{"max_length", 100}, {"cache", 20}};
  EXPECT_DOUBLE_EQ(one("soft_overlong_punishment", input("", true, 80), options), 0);
  EXPECT_DOUBLE_EQ(one("soft_overlong_punishment", input("", true, 90), options), -0.5);
  EXPECT_DOUBLE_EQ(one("soft_overlong_punishment", input("", true, 100), options), -1);
  EXPECT_DOUBLE_EQ(one("soft_overlong_punishment", input("", true, 500), options), -1);
}

TEST(Reward, LanguageShareOfTheThought) {
  EXPECT_DOUBLE_EQ(one("language_consistency", input("<think>we add 3 和 four</think><answer>七</answer>")), 3.0 / 4);
  EXPECT_DOUBLE_EQ(one("language_consistency", input("<think>我们 add</think><answer>7</answer>"), {{"language", "zh"}}), 2.0 / 3);
  EXPECT_TRUE(std::isnan(one("language_consistency", input("<think>3+4=7</think><answer>7</answer>"))));  // does not apply
  EXPECT_DOUBLE_EQ(*language_share("привет world", "en"), 0.5);
}

TEST(Reward, ReasoningSteps) {
  EXPECT_DOUBLE_EQ(one("reasoning_steps", input("<think>Step 1: a\nStep 2: b\nFinally c</think>")), 1);
  EXPECT_DOUBLE_EQ(one("reasoning_steps", input("<think>1. a\nso 2. no\n- b</think>")), 2.0 / 3);
  EXPECT_DOUBLE_EQ(one("reasoning_steps", input("<think>3.14 is pi</think>")), 0);
}

TEST(Reward, WrongNamesAreUsageErrors) {
  EXPECT_THROW(make_reward("acuracy"), Error);
  EXPECT_THROW(make_reward("cosine", {{"max_lenght", 3}}), Error);
  for (const auto& name : reward_names()) EXPECT_NO_THROW(make_reward(name));
}

}  // namespace
}  // namespace r1::tasks
