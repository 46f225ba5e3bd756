// Task math: which keys give question and answer, MATH-, AIME- and GSM8K-style lines, verdicts, strictness, threads.
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/tasks/registry.h"
#include "tests/environment_variable.h"
#include "tests/message_of.h"

namespace r1::tasks {
namespace {

class MathTask : public testing::Test {
 protected:
  fs::path write(const std::string& lines) const {
    write_file_atomic(path_, lines);
    return path_;
  }
  std::unique_ptr<Task> task(const std::string& lines, Json options = Json::object()) const {
    options["data"] = write(lines).string();
    return make_task("math", options);
  }
  void TearDown() override { fs::remove(path_); }
  const fs::path path_ = fs::path(testing::TempDir()) / ("math_" + std::to_string(getpid()) + ".jsonl");
};

constexpr char kMath[] =
    R"({"problem":"Halve one.","solution":"One over two: $\\boxed{\\frac{1}{2}}$.","answer":"\\frac{1}{2}","subject":"Algebra","level":1,"unique_id":"test/algebra/1.json"})"
    "\n";

TEST_F(MathTask, MathLine) {
  const auto t = task(kMath);
  ASSERT_EQ(t->size("test"), 1);
  const Problem p = t->problem("test", 0);
  EXPECT_EQ(p.id, "math/test/test/algebra/1.json");
  EXPECT_EQ(p.gold, "\\frac{1}{2}");
  EXPECT_EQ(p.question, "Halve one.");
  EXPECT_EQ(p.extra["subject"], "Algebra");
  EXPECT_NE(p.prompt.find("within \\boxed{}"), std::string::npos);
  EXPECT_EQ(p.solution, "One over two: $\\boxed{\\frac{1}{2}}$.");  // its own box is the style's
  EXPECT_EQ(t->score(p, p.solution).accuracy, 1);
  EXPECT_EQ(t->score(p, "<think>\\boxed{7}</think>It is $\\boxed{0.5}$").verdict, Verdict::kRight);
  EXPECT_EQ(t->score(p, "It is $\\boxed{2}$").verdict, Verdict::kWrong);
  EXPECT_EQ(t->score(p, "It is $\\boxed{2}$").accuracy, 0);
  EXPECT_EQ(t->score(p, "<think>\\boxed{\\frac12}").verdict, Verdict::kUnparsed);
  EXPECT_EQ(t->score(p, "\\boxed{\\frac{1}{}}").verdict, Verdict::kUnparsed);
  EXPECT_EQ(t->score(p, "The answer is 1/2.").verdict, Verdict::kRight);
  EXPECT_EQ(t->score(p, "The answer is 1/2.").extracted, "1/2");
}

TEST_F(MathTask, AnswerOutOfTheSolution) {
  const auto t = task(R"({"problem":"2+2?","solution":"Four, so \\boxed{4}."})"
                      "\n");
  EXPECT_EQ(t->problem("test", 0).gold, "4");
  EXPECT_EQ(t->problem("test", 0).id, "math/test/0");
  EXPECT_NE(message_of([&] {
              task(R"({"problem":"2+2?","solution":"Four."})"
                   "\n");
            }).find("the solution marks no answer"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              task(R"({"problem":"2+2?"})"
                   "\n");
            }).find("neither an answer nor a solution"),
            std::string::npos);
}

TEST_F(MathTask, AimeLine) {  // an integer of three digits, perhaps with leading zeros
  const auto t = task("{\"id\":60,\"problem\":\"Find n.\",\"answer\":\"025\"}\n{\"id\":61,\"problem\":\"Find m.\",\"answer\":204}\n");
  EXPECT_EQ(t->problem("test", 0).id, "math/test/60");
  EXPECT_EQ(t->score(t->problem("test", 0), "\\boxed{25}").verdict, Verdict::kRight);
  EXPECT_EQ(t->score(t->problem("test", 0), "\\boxed{250}").verdict, Verdict::kWrong);
  EXPECT_EQ(t->score(t->problem("test", 1), "\\boxed{204}").verdict, Verdict::kRight);
  EXPECT_EQ(t->score(t->problem("test", 1), "\\boxed{24}").verdict, Verdict::kWrong);
}

TEST_F(MathTask, Gsm8kLine) {
  const auto t = task("{\"question\":\"Eggs?\",\"answer\":\"2*9=18\\n#### 1,018\"}\n", {{"prompt_style", "r1_zero"}});
  const Problem p = t->problem("test", 0);
  EXPECT_EQ(p.gold, "1,018");
  EXPECT_EQ(p.solution, "<think>\n2*9=18\n\n</think>\n<answer>\n1,018\n</answer>");
  EXPECT_EQ(t->score(p, p.solution).verdict, Verdict::kRight);
  EXPECT_EQ(t->score(p, "1018.5").verdict, Verdict::kWrong);
}

TEST_F(MathTask, Fields) {
  const char* line = R"({"task":"q","label":"7","problem":"other","answer":"8"})"
                     "\n";
  const auto t = task(line, {{"question_field", "task"}, {"answer_field", "label"}});
  EXPECT_EQ(t->problem("test", 0).question, "q");
  EXPECT_EQ(t->problem("test", 0).gold, "7");
  EXPECT_NE(message_of([&] { task(line, {{"answer_field", "gold"}}); }).find(":1: key 'gold' is missing"), std::string::npos);
  EXPECT_NE(message_of([&] { task(line, {{"answerfield", "gold"}}); }).find("did you mean 'answer_field'"), std::string::npos);
  EXPECT_NE(message_of([&] { task("{\"answer\":\"8\"}\n"); }).find("no question"), std::string::npos);
  EXPECT_NE(message_of([&] { task("{\"problem\":\"8\",\"answer\":\"\"}\n"); }).find("the known answer is empty"), std::string::npos);
  EXPECT_NE(message_of([&] { task("{\"problem\":\"8\",\"answer\":[1]}\n"); }).find("should be text or a number"), std::string::npos);
  const EnvironmentVariable none("R1_DATA", "");
  EXPECT_NE(message_of([] { make_task("math"); }).find("option 'data' is missing"), std::string::npos);
}

TEST_F(MathTask, Tolerance) {
  const char* third = "{\"problem\":\"1:3?\",\"answer\":\"1/3\"}\n";
  const auto verdict = [&](const Json& options, const char* answer) {
    const auto t = task(third, options);
    return t->score(t->problem("test", 0), answer).verdict;
  };
  EXPECT_EQ(verdict({}, "0.333333"), Verdict::kRight);
  EXPECT_EQ(verdict({}, "0.33"), Verdict::kWrong);
  EXPECT_EQ(verdict({{"tolerance", "exact"}}, "0.333333333333"), Verdict::kWrong);
  EXPECT_EQ(verdict({{"tolerance", "exact"}}, "2/6"), Verdict::kRight);
  EXPECT_EQ(verdict({{"tolerance", "rounded"}, {"rounding_digits", 2}}, "0.33"), Verdict::kRight);
  EXPECT_EQ(verdict({{"tolerance", "rounded"}, {"rounding_digits", 2}}, "0.34"), Verdict::kWrong);
  EXPECT_EQ(verdict({{"tolerance", "relative"}}, "0.33334"), Verdict::kRight);
  EXPECT_EQ(verdict({{"tolerance", "relative"}}, "0.334"), Verdict::kWrong);
  EXPECT_EQ(verdict({{"relative", 1e-2}}, "0.334"), Verdict::kRight);
  EXPECT_NE(message_of([&] {
              task(third, {{"tolerance", "exact"}, {"relative", 1e-4}});
            }).find("with tolerance exact leave it out"),
            std::string::npos);
  EXPECT_NE(message_of([&] { task(third, {{"tolerance", "round"}}); }).find("did you mean 'rounded'"), std::string::npos);
  EXPECT_NE(message_of([&] { task("{\"problem\":\"8\",\"answer\":\"\\\\boxed{8\"}\n"); }).find(":1: the known answer is cut off"),
            std::string::npos);
}

TEST_F(MathTask, StrictCountsMarkedAnswersOnly) {
  const auto t = task(kMath, {{"strict", true}});
  const Problem p = t->problem("test", 0);
  EXPECT_EQ(t->score(p, "\\frac{1}{2}").verdict, Verdict::kUnparsed);
  EXPECT_EQ(t->score(p, "The answer is 1/2.").verdict, Verdict::kUnparsed);
  for (const char* marked : {"\\boxed{1/2}", "#### 1/2", "<answer>1/2</answer>"})
    EXPECT_EQ(t->score(p, marked).verdict, Verdict::kRight) << marked;
}

TEST_F(MathTask, TheFirstBoxByOption) {
  const char* completion = "\\boxed{1/2} or was it, on reflection, rather \\boxed{3}";
  const auto last = task(kMath), first = task(kMath, {{"boxes", "first"}});
  EXPECT_EQ(last->score(last->problem("test", 0), completion).verdict, Verdict::kWrong);
  EXPECT_EQ(first->score(first->problem("test", 0), completion).verdict, Verdict::kRight);
}

TEST_F(MathTask, ScoredFromManyThreads) {
  const auto t = task(kMath);
  const Problem p = t->problem("test", 0);
  std::vector<int> right(8);
  std::vector<std::thread> threads;
  for (size_t k = 0; k < right.size(); ++k)
    threads.emplace_back([&, k] {
      for (int i = 0; i < 100; ++i)
        right[k] += t->score(p, i % 2 ? "\\boxed{\\frac{2}{4}}" : "\\boxed{\\frac{2}{5}}").verdict == Verdict::kRight;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, std::vector<int>(8, 50));
}

}  // namespace
}  // namespace r1::tasks
