// r1 verify as a program: one pair, JSON lines in order, 10,000 lines in time, the alarm about answers that could not be read.
#include <gtest/gtest.h>

#include <chrono>
#include <sstream>

#include "tests/app/program.h"

namespace r1::app {
namespace {

using Ran = testing::ProgramResult;
Ran run(const Arguments& arguments, const std::string& input = "") {
  return testing::run_r1(arguments, input);
}
std::string line(const std::string& gold, const std::string& answer) {
  return dump_json({{"gold", gold}, {"answer", answer}}) + "\n";
}

TEST(VerifyCommand, OnePair) {
  const Ran one = run({"verify", "--gold=\\frac12", "--answer=so it is \\boxed{0.5}", "--json"});
  EXPECT_EQ(one.code, 0);
  const Json row = parse_json(one.out, "the output");
  EXPECT_EQ(row["verdict"], "right");
  EXPECT_EQ(row["extracted"], "0.5");
  EXPECT_EQ(run({"verify", "--gold=2", "--answer=3"}).out.substr(0, 6), "wrong:");
  EXPECT_EQ(run({"verify", "--gold=f(x)", "--answer=f(y)"}).out.substr(0, 5), "wrong");
  EXPECT_EQ(run({"verify", "--gold=f(x)", "--answer=f(y)", "--strict=false"}).out.substr(0, 5), "right");
  EXPECT_EQ(run({"verify", "--answer=3"}).code, 2);
}

TEST(VerifyCommand, TenThousandLinesInOrderWithinTenSeconds) {
  std::string input;
  for (int i = 0; i < 10'000; ++i) {
    const std::string n = std::to_string(i);
    switch (i % 4) {
      case 0:
        input += line(n, "Some steps, 3 + 4 = 7.\n#### " + n);
        break;
      case 1:
        input += line("\\frac{" + n + "}{7}", "so $\\boxed{\\dfrac{" + n + "}{8}}$");
        break;
      case 2:
        input += line("\\sqrt{" + n + "}", "\\boxed{\\sqrt{4\\cdot" + n + "}/2}");
        break;
      default:
        input += line("x^2+" + n + "x", "\\boxed{x(x+" + n + ")}");
    }
  }
  const auto start = std::chrono::steady_clock::now();
  const Ran all = run({"verify", "--jsonl"}, input);
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 10.0);
  EXPECT_EQ(all.code, 0);
  EXPECT_EQ(all.err, "");
  std::istringstream lines(all.out);
  int i = 0;
  for (std::string l; std::getline(lines, l); ++i) {
    const Json row = parse_json(l, "the output");
    ASSERT_EQ(row["verdict"], i % 4 == 1 ? "wrong" : "right") << i << ' ' << l;
    ASSERT_TRUE(row.contains("extracted") && row.contains("reason"));
  }
  EXPECT_EQ(i, 10'000);
}

TEST(VerifyCommand, AlarmAboveFivePercentUnread) {
  std::string few, many;
  for (int i = 0; i < 100; ++i) {
    few += line("5", i < 5 ? "\\boxed{\\frac{1}{}}" : "\\boxed{5}");
    many += line("5", i < 6 ? "\\boxed{\\frac{1}{}}" : "\\boxed{5}");
  }
  EXPECT_EQ(run({"verify", "--jsonl"}, few).err, "");
  const Ran warned = run({"verify", "--jsonl"}, many);
  EXPECT_NE(warned.err.find("6 of 100 answers could not be read"), std::string::npos) << warned.err;
  EXPECT_NE(warned.out.find("\"unparsed\""), std::string::npos);
  EXPECT_NE(run({"verify", "--jsonl"}, "{\"gold\": 1}\n").code, 0);
}

}  // namespace
}  // namespace r1::app
