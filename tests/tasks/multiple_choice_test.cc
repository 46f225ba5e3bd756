// Tasks aqua and multiple_choice: the forms of a line, shuffling, letters in completions.
#include "r1/tasks/multiple_choice.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <set>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/tasks/registry.h"
#include "tests/message_of.h"

namespace r1::tasks {
namespace {

class Choices : public testing::Test {
 protected:
  std::unique_ptr<Task> task(const std::string& lines, Json options = Json::object(), const char* name = "multiple_choice") const {
    write_file_atomic(path_, lines);
    options["data"] = path_.string();
    return make_task(name, options);
  }
  void TearDown() override { fs::remove(path_); }
  const fs::path path_ = fs::path(testing::TempDir()) / ("choices_" + std::to_string(getpid()) + ".jsonl");
};

constexpr char kAqua[] =
    R"({"question":"How long? ","options":["A)12 m","B)1/2 m","C)21 m","D)7,000 m","E)None of these"],"rationale":"Half.\nAnswer : B","correct":"B"})"
    "\n";

TEST_F(Choices, AquaLine) {
  const auto t = task(kAqua, {{"prompt_style", "plain"}}, "aqua");
  const Problem p = t->problem("test", 0);
  EXPECT_EQ(p.id, "aqua/test/0");
  EXPECT_EQ(p.gold, "B");
  EXPECT_EQ(p.prompt,
            "Question: How long?\nA) 12 m\nB) 1/2 m\nC) 21 m\nD) 7,000 m\nE) None of these\nAnswer with the letter of the right "
            "option.\nAnswer:");
  EXPECT_EQ(p.solution, "Half.\nAnswer : B\n#### B");
  EXPECT_EQ(t->score(p, p.solution).accuracy, 1);
}

TEST_F(Choices, RightWrongUnparsed) {
  const auto t = task(kAqua, {}, "aqua");
  const Problem p = t->problem("test", 0);
  for (const char* right : {"B",
                            "(B)",
                            "B.",
                            "b) no: the answer is B",
                            "So \\boxed{B}",
                            "\\boxed{\\text{(B)}}",
                            "\\boxed{\\textbf{B}}",
                            "\\boxed{B) 1/2 m}",
                            "<answer>B</answer>",
                            "<answer> Option B </answer>",
                            "#### B",
                            "Correct answer - B",
                            "CORRECT OPTION:OPTION B",
                            "Choice B.",
                            "ANSWER:B",
                            "Answer : B",
                            "This gives us B",
                            "Hence half.\nB",
                            "<think>A or C? \\boxed{C}</think>The correct option is (B).",
                            "\\boxed{1/2 m}",
                            "\\boxed{0.5\\text{ m}}",
                            "**Answer: B**",
                            "The answer is B because A is too long.",
                            "Option A is too long. The answer must be B."})
    EXPECT_EQ(t->score(p, right).verdict, Verdict::kRight) << right << " -> " << t->score(p, right).extracted;
  for (const char* wrong : {"A", "\\boxed{C}", "<answer>(A)</answer>", "the answer is A", "\\boxed{12 m}", "\\boxed{F}",
                            "B is tempting, but the answer is C.", "#### D", "<think>B</think> E", "It is not B. (C)"})
    EXPECT_EQ(t->score(p, wrong).verdict, Verdict::kWrong) << wrong << " -> " << t->score(p, wrong).extracted;
  for (const char* unread :
       {"", "<think>B", "A train goes fast.", "I think so", "\\boxed{A or B}", "The answer is A or B.", "\\boxed{A, B}", "\\boxed{99 m}",
        "the answer is banana", "\\boxed{}", "BAD", "<answer>A, B, C, D, E</answer>"})
    EXPECT_EQ(t->score(p, unread).verdict, Verdict::kUnparsed) << unread << " -> " << t->score(p, unread).extracted;
}

TEST_F(Choices, StrictCountsMarkedAnswersOnly) {
  const auto t = task(kAqua, {{"strict", true}});
  const Problem p = t->problem("test", 0);
  EXPECT_EQ(t->score(p, "The answer is B").verdict, Verdict::kUnparsed);
  EXPECT_EQ(t->score(p, "B").verdict, Verdict::kUnparsed);
  EXPECT_EQ(t->score(p, "The answer is \\boxed{B}").verdict, Verdict::kRight);
}

TEST_F(Choices, FormsOfALine) {
  const std::pair<const char*, const char*> forms[] = {
      {R"({"question":"q","choices":["red","green"],"answer":1})", "B"},
      {R"({"question":"q","choices":["red","green"],"answer":"green"})", "B"},
      {R"({"question":"q","options":{"A":"red","B":"green"},"answer":"B"})", "B"},
      {R"({"question":"q","choices":{"text":["red","green","blue"],"label":["1","2","3"]},"answerKey":"3"})", "C"},
      {R"({"problem":"q","options":["(A) red","(B) green"],"label":0,"id":"x7"})", "A"},
  };
  for (const auto& [line, gold] : forms) {
    const auto t = task(std::string(line) + "\n");
    const Problem p = t->problem("test", 0);
    EXPECT_EQ(p.gold, gold) << line;
    EXPECT_EQ(p.extra["options"][1], "green") << line;
  }
  EXPECT_EQ(task(R"({"problem":"q","options":["red","green"],"label":1})"
                 "\n",
                 {{"first_index", 1}})
                ->problem("test", 0)
                .gold,
            "A");
  EXPECT_NE(message_of([&] {
              task(R"({"question":"q","options":["red"],"answer":"A"})"
                   "\n");
            }).find("expected 2 to 10 options, got 1"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              task(R"({"question":"q","options":["red","green"],"answer":"C"})"
                   "\n");
            }).find("neither an option's letter nor its text"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              task(R"({"question":"q","options":["red","green"],"answer":2})"
                   "\n");
            }).find("no option's number"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              task(R"({"question":"q","answer":"A"})"
                   "\n");
            }).find("--columns.options=KEY"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              task(R"({"question":"q","options":{"A":"x","C":"y"},"answer":"A"})"
                   "\n");
            }).find("B is missing"),
            std::string::npos);
}

TEST_F(Choices, ShuffledBySeed) {
  std::string lines;
  for (int i = 0; i < 400; ++i)
    lines += "{\"question\":\"q" + std::to_string(i) +
             "\",\"options\":[\"right\",\"w1\",\"w2\",\"w3\",\"None of these\"],\"correct\":\"A\",\"rationale\":\"A\"}\n";
  const auto plain = task(lines), one = task(lines, {{"shuffle", true}, {"seed", 1}}),
             again = task(lines, {{"shuffle", true}, {"seed", 1}}), two = task(lines, {{"shuffle", true}, {"seed", 2}});
  std::map<std::string, int> places;
  int differ = 0;
  for (int i = 0; i < 400; ++i) {
    const Problem p = one->problem("test", i);
    EXPECT_EQ(plain->problem("test", i).gold, "A");
    EXPECT_EQ(p.question, again->problem("test", i).question);
    EXPECT_EQ(p.extra["options"][size_t(p.gold[0] - 'A')], "right");
    EXPECT_EQ(p.extra["options"][4], "None of these");  // keeps its place
    EXPECT_EQ(std::set<std::string>(p.extra["options"].begin(), p.extra["options"].end()).size(), 5u);
    if (p.gold != "A") {
      EXPECT_EQ(p.solution, "") << "a rationale with the old letters";
    }
    ++places[p.gold];
    differ += p.gold != two->problem("test", i).gold;
  }
  EXPECT_EQ(places.size(), 4u);
  for (const auto& [letter, count] : places) EXPECT_NEAR(count, 100, 40) << letter;
  EXPECT_GT(differ, 200);  // 300 expected
  const auto letters = task(R"({"question":"q","options":["x","y","A and B"],"correct":"C"})"
                            "\n",
                            {{"shuffle", true}});
  EXPECT_EQ(letters->problem("test", 0).extra["options"][2], "A and B");
  EXPECT_EQ(letters->problem("test", 0).gold, "C");
}

TEST_F(Choices, RealAqua) {
  const char* given = std::getenv("R1_DATA");
  const fs::path path = (given ? fs::path(given) : fs::path(R1_SOURCE_DIR) / ".." / "shared" / "data") / "aqua" / "dev.json";
  if (!fs::exists(path)) GTEST_SKIP() << "no " << path << "; set R1_DATA";
  const auto t = make_task("aqua", {{"data", path.string()}});
  ASSERT_EQ(t->size("test"), 254);
  int named = 0, right = 0;
  for (int64_t i = 0; i < 254; ++i) {
    const Problem p = t->problem("test", i);
    ASSERT_EQ(p.extra["options"].size(), 5u);
    ASSERT_EQ(t->score(p, p.solution).verdict, Verdict::kRight) << p.id;
    // what people wrote, without our box: most rationales state their letter in the last line, in many forms
    const std::string people = p.solution.substr(0, p.solution.rfind("\n\\boxed"));
    const Score s = t->score(p, people);
    named += s.verdict != Verdict::kUnparsed;
    right += s.verdict == Verdict::kRight;
    if (s.verdict == Verdict::kWrong)
      printf("%s %s gold %s got %s: ..%s\n", p.id.c_str(), "wrong", p.gold.c_str(), s.extracted.c_str(),
             people.substr(people.size() > 90 ? people.size() - 90 : 0).c_str());
  }
  EXPECT_GE(named, 180);
  EXPECT_GE(right, named * 97 / 100);
}

}  // namespace
}  // namespace r1::tasks
