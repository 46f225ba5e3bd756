#include "r1/tasks/reward.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "r1/base/error.h"
#include "r1/base/rng.h"

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
  // A run whose completions end before it begins would never see anything but 0.
  const auto begins_at_80 = make_reward("soft_overlong_punishment", options), standard = make_reward("soft_overlong_punishment");
  EXPECT_NE(begins_at_80->constant_up_to(80).find("0 for every completion: it begins beyond 80 tokens"), std::string::npos);
  EXPECT_EQ(begins_at_80->constant_up_to(81), "");
  EXPECT_NE(standard->constant_up_to(48).find("max_completion_length is 48"), std::string::npos);
  EXPECT_EQ(standard->constant_up_to(16384), "");
  EXPECT_EQ(make_reward("accuracy")->constant_up_to(1), "");
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
  EXPECT_DOUBLE_EQ(one("reasoning_steps", input("<think>1. a\n2. b\n3. c\n4. d</think>")), 1);  // open-r1 sees one of them
  EXPECT_DOUBLE_EQ(one("reasoning_steps", input("<think>First, First, First, First,</think>")), 1.0 / 3);
  EXPECT_DOUBLE_EQ(one("reasoning_steps", input("<think>-\n*\nNext\nStep 4:</think>")), 0) << "markers alone say nothing";
  EXPECT_DOUBLE_EQ(one("reasoning_steps", input("<think>- a\n- a\n* a\nFirst a</think>")), 1.0 / 3) << "one step, four times";
  EXPECT_DOUBLE_EQ(one("reasoning_steps", input("<think>a</think>\n1. a\n2. b\n3. c")), 0) << "the answer is no thought";
  EXPECT_DOUBLE_EQ(one("reasoning_steps", input("<think>Firstborn a\nNextel b\nStep x: c</think>")), 0);
}

TEST(Reward, AccuracyIsTheTasksScore) {
  RewardInput in = input("");
  in.score.accuracy = 0.25;
  EXPECT_DOUBLE_EQ(one("accuracy", in), 0.25);
  in.score = {Verdict::kTimeout, 0, ""};
  EXPECT_DOUBLE_EQ(one("accuracy", in), 0) << "hanging the verifier pays nothing";
}

TEST(Reward, ThePromptMayOpenTheThought) {
  const Json opened = {{"think_in_prompt", true}};
  const auto in = input("1. a\n2. b\n</think><answer>1</answer>");
  EXPECT_EQ(one("format", in), 0);
  EXPECT_EQ(one("format", in, opened), 1);
  EXPECT_EQ(one("format", input("<think>a</think><answer>1</answer>"), opened), 0) << "a second opening";
  EXPECT_EQ(one("format_if_right", in, opened), 1);
  EXPECT_DOUBLE_EQ(one("tag_count", in), 0.75);
  EXPECT_DOUBLE_EQ(one("tag_count", in, opened), 1);
  EXPECT_DOUBLE_EQ(one("reasoning_steps", in, opened), 2.0 / 3);
}

TEST(Reward, WhatOpenR1LetsPass) {
  // Its pattern ^<think>\n.*?\n</think>\n<answer>\n.*?\n</answer>$ with MULTILINE and DOTALL takes all three.
  const std::string good = "<think>\na\n</think>\n<answer>\n1\n</answer>";
  EXPECT_EQ(one("format", input(good)), 1);
  EXPECT_EQ(one("format", input(good + "\nand by the way")), 0);
  EXPECT_EQ(one("format", input(good + "\n" + good)), 0);
  EXPECT_EQ(one("format", input("<think>\n<think>\na\n</think>\n</think>\n<answer>\n1\n</answer>")), 0);
  EXPECT_DOUBLE_EQ(one("tag_count", input("<think>\na <think>b\n</think>\n<answer>\n1\n</answer>")), 0.75) << "a second tag without break";
}

TEST(Reward, LanguageLeavesFormulasOut) {
  EXPECT_DOUBLE_EQ(*language_share("我们设 x 为 \\frac{1}{2} 和 y=3", "zh"), 1);
  EXPECT_FALSE(language_share("x + y = \\alpha 3a", "en"));
  EXPECT_DOUBLE_EQ(*language_share("I have a dog", "en"), 1);
  EXPECT_DOUBLE_EQ(*language_share("dog, 狗", "en"), 0.5);
}

TEST(Reward, UnitsAreFinerThanWords) {
  EXPECT_EQ(units("Start 7*9=63,好吗x"), (std::vector<std::string>{"start", "7", "*", "9", "=", "63", ",", "好", "吗", "x"}));
  EXPECT_EQ(units("\xff\xc3 a"), (std::vector<std::string>{"\xff\xc3", "a"})) << "any bytes";
  EXPECT_TRUE(units(" \n").empty());
}

// The definition by sets against the one by sorting.
TEST(Reward, RepetitionIsItsDefinition) {
  Rng rng(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> list;
    std::string text;
    for (uint64_t k = rng.below(40); k-- > 0;) {
      list.push_back(std::string(1, char('a' + rng.below(3))));
      text += list.back() + " ";
    }
    const int n = int(rng.between(1, 5));
    std::set<std::vector<std::string>> distinct;
    int64_t total = 0;
    for (size_t i = 0; i + size_t(n) <= list.size(); ++i, ++total) distinct.insert({list.begin() + long(i), list.begin() + long(i) + n});
    EXPECT_DOUBLE_EQ(repetition(text, n), total ? 1 - double(distinct.size()) / double(total) : 0) << text << n;
  }
}

TEST(Reward, WrongNamesAreUsageErrors) {
  EXPECT_THROW(make_reward("acuracy"), Error);
  EXPECT_THROW(make_reward("cosine", {{"max_lenght", 3}}), Error);
  EXPECT_THROW(make_reward("soft_overlong_punishment", {{"max_length", 100}}), Error) << "cache is 4096";
  for (const auto& name : reward_names()) EXPECT_NO_THROW(make_reward(name));
}

}  // namespace
}  // namespace r1::tasks
