// What counts as the answer of a completion, and when two numbers are equal.
#include <gtest/gtest.h>

#include "r1/verify/countdown_expression.h"
#include "r1/verify/number_answer.h"

namespace r1::verify {
namespace {

std::string answer(std::string_view text, bool strict = false) {
  const auto a = extract_number_answer(text, strict);
  return a ? a->canonical + "@" + answer_place_name(a->place) : "-";
}

TEST(NumberAnswer, Canonical) {
  const std::pair<const char*, const char*> cases[] = {{"18", "18"},
                                                       {" 018 ", "18"},
                                                       {"-0", "0"},
                                                       {"1,234", "1234"},
                                                       {"1,234,567.50", "1234567.5"},
                                                       {"$ 80,000", "80000"},
                                                       {"\\$70{,}000", "70000"},
                                                       {".5", "0.5"},
                                                       {"0.50", "0.5"},
                                                       {"5.", "5"},
                                                       {"50%", "50"},
                                                       {"1/2", "0.5"},
                                                       {"2/6", "1/3"},
                                                       {"-\\frac{3}{4}", "-0.75"},
                                                       {"\\dfrac{10}{5}", "2"},
                                                       {"1e3", "1000"},
                                                       {"1.25E-2", "0.0125"},
                                                       {"\xE2\x88\x92"
                                                        "7",
                                                        "-7"},
                                                       {"+3", "3"},
                                                       {"0/5", "0"},
                                                       {"123456789012345678901234567890.10", "123456789012345678901234567890.1"}};
  for (const auto& [text, want] : cases) EXPECT_EQ(canonical_number(text).value_or("-"), want) << text;
  for (const char* text : {"", "x", "12 apples", "1,23", "1,2345", "1 2", "--3", "1/0", "1..2", "\\frac{1}{0}", "3-2"}) {
    EXPECT_FALSE(canonical_number(text)) << text << " -> " << canonical_number(text).value_or("");
  }
}

TEST(NumberAnswer, EqualityIsExact) {
  EXPECT_TRUE(numbers_equal("0.1", "1/10"));
  EXPECT_TRUE(numbers_equal("1,000", "1000.0"));
  EXPECT_FALSE(numbers_equal("1/3", "0.3333333333333333"));
  EXPECT_FALSE(numbers_equal("9007199254740993", "9007199254740992"));  // equal as doubles
  EXPECT_FALSE(numbers_equal("", ""));
}

TEST(NumberAnswer, Places) {
  EXPECT_EQ(answer("<think>1+1=3</think><answer>18</answer>"), "18@answer_tag");
  EXPECT_EQ(answer("<think>x</think>\n<answer>\nThe total is $18.00\n</answer>"), "18@answer_tag");
  EXPECT_EQ(answer("<answer>\\boxed{42}</answer>"), "42@answer_tag");
  EXPECT_EQ(answer("<answer>3*6 = 18</answer>"), "18@answer_tag");
  EXPECT_EQ(answer("<answer>18 or 20</answer>"), "-");
  EXPECT_EQ(answer("<answer>1</answer> <answer>2</answer>"), "2@answer_tag");
  EXPECT_EQ(answer("so 5\n#### 1,450 dollars\n"), "1450@hashes");
  EXPECT_EQ(answer("thus \\boxed{\\frac{1}{2}} as said"), "0.5@boxed");
  EXPECT_EQ(answer("\\boxed{1} no, \\boxed{2}"), "2@boxed");
  EXPECT_EQ(answer("The answer is: **72**."), "72@phrase");
  EXPECT_EQ(answer("start 1+2: answer 3"), "3@phrase");
  EXPECT_EQ(answer("He has 3 + 4 = 7 apples."), "7@last_number");
  EXPECT_EQ(answer("He has 3 + 4 = 7 apples.", true), "-");
  EXPECT_EQ(answer("5-3"), "3@last_number");
  EXPECT_EQ(answer("it fell to -3 degrees"), "-3@last_number");
  EXPECT_EQ(answer("no number"), "-");
}

TEST(NumberAnswer, OnlyAfterTheThought) {
  EXPECT_EQ(answer("<think>the answer is 5 #### 5 \\boxed{5}"), "-");
  EXPECT_EQ(answer("<think>\\boxed{5}</think> so 6"), "6@last_number");
  EXPECT_EQ(answer("5 is it</think><answer>7</answer>"), "7@answer_tag");  // the template may have opened the thought
}

TEST(NumberAnswer, LongInputIsQuick) {
  EXPECT_EQ(answer(std::string(2'000'000, '9')).substr(0, 1), "-");
  answer("\\boxed{" + std::string(1'000'000, '{'));
  std::string commas;
  for (int i = 0; i < 300'000; ++i) commas += ",111";
  answer(commas);
  SUCCEED();
}

TEST(Countdown, ExactValues) {
  const auto value = [](std::string_view text) {
    const auto v = evaluate_countdown(text);
    return v ? std::to_string(v->numerator) + "/" + std::to_string(v->denominator) : std::string("-");
  };
  EXPECT_EQ(value("1+2*3"), "7/1");
  EXPECT_EQ(value("(1+2)*3"), "9/1");
  EXPECT_EQ(value("8-3-2"), "3/1");
  EXPECT_EQ(value("8/(3-8/3)"), "24/1");  // the classic that floats miss
  EXPECT_EQ(value("1/3+1/3+1/3"), "1/1");
  EXPECT_EQ(value("2 \xC3\x97 3 \xC3\xB7 4 \xE2\x88\x92 1"), "1/2");
  EXPECT_EQ(value("2-5"), "-3/1");
  for (const char* bad :
       {"", "1+", "(1", "1)", "1/0", "1/(2-2)", "-1", "1 2", "a", "2**3", "1=1", "9999999999999999999", "((((", "2^3", "1e5"})
    EXPECT_EQ(value(bad), "-") << bad;
  std::string big = "999999999999999";
  EXPECT_EQ(value(big + "*" + big), "-");  // overflow is refused, not wrapped
  EXPECT_EQ(value(std::string(500, '(') + "1" + std::string(500, ')')), "-");
  std::string why;
  EXPECT_FALSE(evaluate_countdown("1/0", &why));
  EXPECT_EQ(why, "division by zero");
}

TEST(Countdown, NumbersAndTarget) {
  EXPECT_EQ(check_countdown("(3*7)+8", {3, 7, 8}, 29, true), CountdownCheck::kRight);
  EXPECT_EQ(check_countdown("8+3*7", {3, 7, 8}, 29, true), CountdownCheck::kRight);
  EXPECT_EQ(check_countdown("3*7", {3, 7, 8}, 21, true), CountdownCheck::kWrongNumbers);
  EXPECT_EQ(check_countdown("3*7", {3, 7, 8}, 21, false), CountdownCheck::kRight);
  EXPECT_EQ(check_countdown("3*3", {3, 7, 8}, 9, false), CountdownCheck::kWrongNumbers);
  EXPECT_EQ(check_countdown("3+3", {3, 3, 8}, 6, false), CountdownCheck::kRight);
  EXPECT_EQ(check_countdown("29", {3, 7, 8}, 29, false), CountdownCheck::kWrongNumbers);
  EXPECT_EQ(check_countdown("3+7+8", {3, 7, 8}, 29, true), CountdownCheck::kWrongValue);
  EXPECT_EQ(check_countdown("3+7+", {3, 7, 8}, 29, true), CountdownCheck::kUnparsed);
}

}  // namespace
// An answer that was cut off, taken back or left open is none, wherever it stands.
TEST(NumberAnswer, CutOffTakenBackOrLeftOpen) {
  for (const char* none :
       {"\\boxed{12", "\\boxed{\\frac{1}{2", "\\boxed{3} so \\boxed{4", "<answer>12", "<answer>3</answer> no, <answer>4", "#### 7 \\boxed{",
        "It is not 12.", "It isn't 12", "either 1 or 2", "It is 1 or 2", "The answer is not 12.", "The answer is either 1 or 2",
        "The answer is 1 or 2.", "<answer>not 12</answer>", "\\boxed{\\text{not } 12}", "#### not 12", "any number other than 12"})
    EXPECT_FALSE(extract_number_answer(none)) << none << " -> " << extract_number_answer(none)->canonical;
  const std::pair<const char*, const char*> kept[] = {{"It is not 4, it is 5.", "5"},  {"not 4 but 5", "5"},
                                                      {"#### 3*4=12", "12"},           {"\\boxed {12}", "12"},
                                                      {"\\framebox{12}", "12"},        {"\\boxed{1} then \\boxed{12}", "12"},
                                                      {"5 or more cups, so 12", "12"}, {"She had 3 or 4; in the end 12", "12"}};
  for (const auto& [text, value] : kept) {
    const auto found = extract_number_answer(text);
    ASSERT_TRUE(found) << text;
    EXPECT_EQ(found->canonical, value) << text;
  }
}

}  // namespace r1::verify
