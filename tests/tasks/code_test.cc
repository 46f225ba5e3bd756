// The tasks over programs (code, humaneval) and the code rewards, with values computed by hand.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <thread>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/tasks/code.h"
#include "r1/tasks/code_score.h"
#include "r1/tasks/humaneval.h"
#include "r1/tasks/registry.h"
#include "r1/tasks/reward.h"
#include "tests/message_of.h"

namespace r1::tasks {
namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / str("r1_code_test_", ::getpid());
  Folder() { make_folder(path); }
  ~Folder() { fs::remove_all(path); }
  std::string file(const std::string& name, const std::string& text) const {
    write_file_atomic(path / name, text);
    return (path / name).string();
  }
};

std::string fenced(const std::string& code, const std::string& language = "python") {
  return "<think>\nhm\n</think>\n<answer>\n```" + language + "\n" + code + "\n```\n</answer>";
}

Problem with_suite(Json suite, const std::string& language = "python") {
  Problem p;
  p.id = "p";
  p.extra = {{"language", language}, {"suite", std::move(suite)}};
  return p;
}

std::vector<std::optional<double>> rewards(const std::string& name, const Problem& problem, const std::vector<std::string>& completions,
                                           const Json& options = Json::object()) {
  std::vector<RewardInput> group;
  for (const auto& c : completions) group.push_back({&problem, c, 10, false, {}});
  return (*make_reward(name, options))(group);
}

// Four tests of x -> x + 1; the second program is right about two of them, the third prints only the first line, ...
Problem four_tests() {
  return with_suite({{"tests", Json::array({{{"input", "1"}, {"output", "2\n1\n"}, {"subtask", 0}},
                                            {{"input", "2"}, {"output", "3\n2\n"}, {"subtask", 1}},
                                            {{"input", "3"}, {"output", "4\n3\n"}, {"subtask", 1}},
                                            {{"input", "4"}, {"output", "5\n4\n"}, {"subtask", 2}}})},
                     {"subtask_points", {20.0, 30.0, 50.0}}});
}
const char kRight[] = "x = int(input())\nprint(x + 1)\nprint(x)";
const char kHalf[] = "x = int(input())\nprint(x + 1)\nprint(x if x in (1, 2) else 0)";
const char kPrefix[] = "x = int(input())\nprint(x + 1)";
const char kBroken[] = "x = int(input(";
const std::string kProse = "I cannot write that.";

TEST(CodeReward, Fractions) {
  const Problem p = four_tests();
  const std::vector<std::string> group = {fenced(kRight), fenced(kHalf), fenced(kPrefix), fenced(kBroken), kProse};
  using Points = std::vector<std::optional<double>>;
  EXPECT_EQ(rewards("code", p, group), (Points{1, 0.5, 0, 0, 0}));
  EXPECT_EQ(rewards("binary_code", p, group), (Points{1, 0, 0, 0, 0}));
  // Subtask 0 has 20 points, 1 has 30, 2 has 50. The half program: test 1 right, tests 2 and 3 right and wrong, test 4 wrong.
  EXPECT_EQ(rewards("ioi_code", p, group), (Points{1, 0.2, 0, 0, 0}));
  EXPECT_EQ(rewards("cf_code", p, group, {{"mode", "pass_fail"}}), (Points{1, 0, 0, -0.1, -1}));
  EXPECT_EQ(rewards("cf_code", p, group, {{"mode", "partial"}}), (Points{1, 0.5, 0, -0.1, -1}));
  const auto weighted = rewards("cf_code", p, group);
  EXPECT_DOUBLE_EQ(*weighted[0], 1.1);
  EXPECT_DOUBLE_EQ(*weighted[1], 0.05);
  EXPECT_EQ(weighted[2], 0);
  EXPECT_EQ(weighted[3], -0.1);
  EXPECT_EQ(weighted[4], -1);
}

TEST(CodeReward, OneOfManyFailing) {
  // 101 tests, one wrong: more than 99 % is not all.
  Json tests = Json::array();
  for (int i = 0; i < 101; ++i) tests.push_back({{"arguments", {i}}, {"expected", i}});
  const Problem p = with_suite({{"tests", tests}, {"entry_point", "f"}});
  const std::vector<std::string> group = {fenced("def f(x): return x if x != 100 else 0"), fenced("def f(x): return x")};
  EXPECT_EQ(rewards("binary_code", p, group)[0], 0);
  EXPECT_EQ(rewards("binary_code", p, group)[1], 1);
}

TEST(CodeReward, DoesNotApply) {
  Problem none;
  none.extra = Json::object();
  for (const char* name : {"code", "binary_code", "ioi_code", "cf_code"})
    EXPECT_EQ(rewards(name, none, {fenced(kRight)})[0], std::nullopt) << name;
  const Problem foreign = with_suite({{"tests", Json::array({{{"input", ""}, {"output", ""}}})}}, "klingon");
  EXPECT_EQ(rewards("code", foreign, {"```klingon\nx\n```"})[0], 0);  // no block of a language it knows: no program
  EXPECT_NE(message_of([] { make_reward("cf_code", {{"mode", "some"}}); }).find("pass_fail, partial, weighted_sum"), std::string::npos);
  EXPECT_NE(message_of([] { make_reward("code", {{"test_second", 1}}); }).find("did you mean 'test_seconds'"), std::string::npos);
}

TEST(CodeReward, Format) {
  const Problem p = four_tests(), cpp = with_suite({{"tests", Json::array({{{"input", ""}, {"output", ""}}})}}, "cpp");
  const auto points = [](const Problem& problem, const std::string& completion, const Json& options = Json::object()) {
    return *rewards("code_format", problem, {completion}, options)[0];
  };
  EXPECT_EQ(points(p, fenced("x = 1")), 1);
  EXPECT_EQ(points(p, fenced("x = 1", "py")), 1);
  EXPECT_EQ(points(p, fenced("x = 1") + "\ngarbage"), 0);
  EXPECT_EQ(points(p, fenced("x = 1", "cpp")), 0);
  EXPECT_EQ(points(p, fenced("x = 1", "")), 0);
  EXPECT_EQ(points(p, fenced("")), 0);
  EXPECT_EQ(points(p, "```python\nx = 1\n```"), 0);
  EXPECT_EQ(points(p, "<think>\n```python\nx\n```\n</think>\n<answer>\nx\n</answer>"), 0);
  EXPECT_EQ(points(p, "<think>\nhm\n</think>\n<answer>\n```python\nx = 1\n</answer>"), 0);
  EXPECT_EQ(points(p, "<think>\nhm\n</think>\n<answer>\nso:\n```text\na\n```\n```python\nx = 1\n```\n</answer>"), 1);
  EXPECT_EQ(points(cpp, fenced("int x;", "c++")), 1);
  EXPECT_EQ(points(cpp, fenced("x = 1")), 0);
  EXPECT_EQ(points(cpp, fenced("x = 1"), {{"language", "python"}}), 1);
  EXPECT_NE(message_of([] { make_reward("code_format", {{"language", "pythn"}}); }).find("did you mean 'python'"), std::string::npos);
}

TEST(CodeTask, RowsOfCommonDataSets) {
  const auto suite = [](const char* row, std::string language = "python") { return suite_of_row(parse_json(row, "row"), language, "row"); };
  using Kind = verify::judge::Suite::Kind;
  const auto open_r1 = suite(
      R"({"verification_info": "{\"language\": \"python\", \"test_cases\": [{\"input\": \"4\\n\", \"output\": \"5\\n\", \"type\": \"stdin_stdout\", \"fn_name\": null}]}"})");
  ASSERT_TRUE(open_r1);
  EXPECT_EQ(open_r1->kind, Kind::kStdin);
  EXPECT_EQ(open_r1->tests[0].expected, "5\n");
  const auto calls =
      suite(R"({"verification_info": {"test_cases": [{"input": "[1, 2]", "output": "3", "type": "function_call", "fn_name": "add"}]}})");
  EXPECT_EQ(calls->kind, Kind::kCalls);
  EXPECT_EQ(calls->entry, "add");
  const auto apps = suite(R"({"input_output": "{\"inputs\": [\"1\\n\", \"2\\n\"], \"outputs\": [\"a\\n\", \"b\\n\"]}"})");
  EXPECT_EQ(apps->tests.size(), 2u);
  const auto lines = suite(R"({"input_output": {"inputs": [["1", "2"]], "outputs": [["3"]]}})");
  EXPECT_EQ(lines->tests[0].input, "1\n2\n");
  const auto apps_calls = suite(R"({"input_output": {"fn_name": "f", "inputs": [[1, [2]]], "outputs": [[3]]}})");
  EXPECT_EQ(apps_calls->tests[0].input, "[1,[2]]");
  EXPECT_EQ(apps_calls->tests[0].expected, "[3]");
  EXPECT_EQ(apps_calls->tests[0].also, std::vector<std::string>{"3"});
  const auto lcb = suite(
      R"({"public_test_cases": "[{\"input\": \"[1,2]\\n3\", \"output\": \"true\", \"testtype\": \"functional\"}]", "metadata": "{\"func_name\": \"has\"}"})");
  EXPECT_EQ(lcb->entry, "has");
  EXPECT_EQ(lcb->tests[0].input, "[[1,2], 3]");
  const auto mbpp = suite(R"j({"test_list": ["assert f(1) == 2"], "test_setup_code": "import math"})j");
  EXPECT_EQ(mbpp->kind, Kind::kAsserts);
  EXPECT_EQ(mbpp->code, "import math");
  EXPECT_EQ(suite(R"j({"prompt": "def f(x):", "test": "def check(candidate): pass", "entry_point": "f"})j")->kind, Kind::kCheck);
  EXPECT_EQ(suite(R"j({"test": "from solution import f\ndef test_f(): assert f()"})j")->kind, Kind::kUnit);
  EXPECT_FALSE(suite(R"({"prompt": "x"})"));
  EXPECT_NE(message_of([&] { suite(R"({"public_test_cases": "[]", "private_test_cases": "eJxrYJ"})"); }).find("pickled"),
            std::string::npos);
  EXPECT_NE(message_of([&] { suite(R"({"input_output": {"inputs": ["1"], "outputs": []}})"); }).find("as many outputs"), std::string::npos);
}

TEST(CodeTask, ABodyIsTakenBeforeTheTalkBehindIt) {
  Problem p;
  p.extra = {{"language", "python"}, {"prompt_code", "def f(x):\n"}, {"suite", {{"entry_point", "f"}}}};
  EXPECT_EQ(program_of(p, "    return x\n\n# Test\nprint(f(1))\n```\n\nThis returns x."), "def f(x):\n    return x\n\n# Test\n");
  EXPECT_EQ(program_of(p, "```python\n    return x\n```"), "def f(x):\n    return x\n");
  EXPECT_EQ(program_of(p, "It returns x."), std::nullopt);
}

TEST(CodeTask, ScoresCompletions) {
  const Folder folder;
  const std::string rows =
      R"j({"question": "Add one.", "input_output": {"inputs": ["1\n", "5\n"], "outputs": ["2\n", "6\n"]}, "solution": "print(int(input()) + 1)"})j"
      "\n"
      R"j({"prompt": "Write add(a, b).", "entry_point": "add", "tests": [{"arguments": [1, 2], "expected": 3}, {"arguments": [0, 0], "expected": 0}], "starter_code": "def add(a, b):"})j"
      "\n"
      R"j({"text": "Double it.", "test_list": ["assert double(2) == 4", "assert double(0) == 0"], "code": "def double(x):\n    return 2 * x"})j"
      "\n"
      R"j({"question_content": "A stack.", "test": "from solution import S\ndef test_s():\n    s = S()\n    s.push(1)\n    assert s.pop() == 1\n"})j"
      "\n";
  const std::string path = folder.file("rows.jsonl", rows);
  const auto task = make_task("code", {{"data", path}});
  ASSERT_EQ(task->size("test"), 4);
  for (const int i : {0, 2}) {
    const Problem p = task->problem("test", i);
    EXPECT_EQ(task->score(p, p.solution).verdict, Verdict::kRight) << i;
    EXPECT_EQ(task->score(p, "<think>" + p.solution).verdict, Verdict::kUnparsed) << i;
  }
  const Problem add = task->problem("test", 1);
  EXPECT_NE(add.question.find("Begin with this code:\n```python\ndef add(a, b):\n```"), std::string::npos);
  EXPECT_NE(add.question.find("defines `add`"), std::string::npos);
  EXPECT_EQ(task->score(add, "```python\ndef add(a, b): return a + b\n```").accuracy, 1);
  EXPECT_EQ(task->score(add, "```python\ndef add(a, b): return a - b\n```").accuracy, 0);
  EXPECT_EQ(task->score(add, "```python\ndef add(a, b):\n    while True: pass\n```").verdict, Verdict::kTimeout);
  EXPECT_EQ(task->score(task->problem("test", 3), "```python\nclass S(list):\n    push = list.append\n```").verdict, Verdict::kRight);
  const auto partial = make_task("code", {{"data", path}, {"partial_credit", true}, {"prompt_style", "r1_zero"}});
  const Score half = partial->score(partial->problem("test", 1), "```python\ndef add(a, b): return 0\n```");
  EXPECT_EQ(half.accuracy, 0.5);
  EXPECT_EQ(half.verdict, Verdict::kWrong);
  const Problem p = partial->problem("test", 0);
  EXPECT_TRUE(parse_tagged(p.solution));
  EXPECT_EQ(partial->score(p, p.solution).verdict, Verdict::kRight);
  EXPECT_NE(message_of([&] {
              make_task("code", {{"data", folder.file("none.jsonl", "{\"prompt\": \"x\"}\n")}});
            }).find("none.jsonl:1: no tests"),
            std::string::npos);
  EXPECT_NE(message_of([] { make_task("code", {{"data", "x"}, {"language", "klingon"}}); }).find("klingon"), std::string::npos);
}

fs::path human_eval_file() {
  const char* given = std::getenv("R1_DATA");
  return (given ? fs::path(given) : fs::path(R1_SOURCE_DIR) / ".." / "shared" / "data") / "humaneval" / "HumanEval.jsonl.gz";
}

TEST(HumanEval, PromptsAndPrograms) {
  const Folder folder;
  const Json row = {{"task_id", "HumanEval/x"},
                    {"prompt", "import math\n\ndef helper(x):\n    return x + 1\n\ndef f(x: int) -> int:\n    \"\"\" Adds two. \"\"\"\n"},
                    {"entry_point", "f"},
                    {"canonical_solution", "    return helper(x) + 1\n"},
                    {"test", "def check(candidate):\n    assert candidate(1) == 3\n    assert helper(1) == 2\n    assert f(2) == 4\n"}};
  const auto task = make_task("humaneval", {{"data", folder.file("one.jsonl", dump_json(row) + "\n")}});
  const Problem p = task->problem("test", 0);
  EXPECT_NE(p.messages[0].content.find("markdown code block:\n```\nimport math\n"), std::string::npos);
  const auto verdict = [&](const std::string& completion) { return task->score(p, completion).verdict; };
  EXPECT_EQ(verdict(p.solution), Verdict::kRight);
  EXPECT_EQ(verdict("    return helper(x) + 1\n\ndef g():\n    pass\n\nprint(f(1)"), Verdict::kRight);  // cut where it leaves the function
  EXPECT_EQ(verdict("```python\ndef f(x):\n    return x + 2\n```"), Verdict::kRight);
  EXPECT_EQ(verdict("Sure:\n```python\ndef f(x):\n    return helper(x) + 1\n```"), Verdict::kRight);  // the prompt's helper is there
  EXPECT_EQ(verdict("```python\n    return x + 2\n```"), Verdict::kRight);
  EXPECT_EQ(verdict("def f(x):\n    return x + 2\n```\nDone."), Verdict::kRight);  // after a forced opening fence
  EXPECT_EQ(verdict("```python\ndef f(x):\n    return x + 1\n```"), Verdict::kWrong);
  EXPECT_EQ(verdict("```python\ndef f(x):\n    return"), Verdict::kWrong);
  EXPECT_EQ(verdict("I do not know."), Verdict::kUnparsed);
  EXPECT_EQ(verdict(""), Verdict::kUnparsed);
  EXPECT_EQ(verdict("    import os\n    os._exit(0)\n"), Verdict::kWrong);
}

TEST(Mbpp, PublishedSplitPromptsAndAsserts) {
  const Folder folder;
  const auto row = [](int id, const std::string& name, const std::string& more = "") {
    return str("{\"task_id\": ", id, ", \"text\": \"Write ", name, ".\", \"code\": \"import math\\r\\ndef ", name,
               "(x):\\r\\n  return x + 1\", \"test_list\": [\"assert ", name, "(1) == 2\", \"assert ", name, "(math.floor(2.5)) == 3\"]",
               more, "}\n");
  };
  const std::string setup = ", \"test_setup_code\": \"import math\"", imports = ", \"test_imports\": [\"import math\"]";
  const std::string file = folder.file("mbpp.jsonl", row(2, "a", setup) + row(3, "b", setup) + row(4, "c", setup) + row(11, "f", imports) +
                                                         row(600, "g", setup) + row(510, "h", setup));
  const auto task = make_task("mbpp", {{"data", file}});
  EXPECT_EQ(task->size("test"), 2);
  EXPECT_EQ(task->size("train"), 1);
  const Problem p = task->problem("test", 0);
  EXPECT_EQ(p.id, "mbpp/test/11");
  EXPECT_EQ(task->problem("train", 0).id, "mbpp/train/600");
  EXPECT_TRUE(
      p.prompt.starts_with("You are an expert Python programmer, and here is your task: Write a. Your code should pass these tests:\n\n"
                           "assert a(1) == 2\nassert a(math.floor(2.5)) == 3\n[BEGIN]\nimport math"))
      << p.prompt;
  EXPECT_TRUE(
      p.prompt.ends_with("[DONE]\n\nYou are an expert Python programmer, and here is your task: Write f. Your code should pass these "
                         "tests:\n\nassert f(1) == 2\nassert f(math.floor(2.5)) == 3\n[BEGIN]\n"))
      << p.prompt;
  EXPECT_EQ(p.messages[0].content,
            "Please provide a self-contained Python script that solves the following problem in a markdown code block:\n```\n\"\"\"\n"
            "Write f.\nassert f(1) == 2\nassert f(math.floor(2.5)) == 3\n\"\"\"\n```");
  EXPECT_EQ(task->score(p, p.solution).verdict, Verdict::kRight);
  EXPECT_EQ(task->score(p, "def f(x):\n  return x + 1\n[DONE]\n\nYou are an expert\ndef f(x):\n  return 0\n").verdict, Verdict::kRight);
  const Score wrong = task->score(p, "```python\ndef f(x):\n  return 2\n```");
  EXPECT_EQ(wrong.verdict, Verdict::kWrong);
  EXPECT_EQ(wrong.rule, "program");
  EXPECT_NE(wrong.reason.find("of 2 tests passed; "), std::string::npos) << wrong.reason;
  EXPECT_EQ(task->score(p, "no").reason, "no program in it");
  const auto bare = make_task("mbpp", {{"data", file}, {"shots", 0}, {"shown_tests", 1}, {"published_split", false}});
  EXPECT_EQ(bare->size("test"), 6);
  EXPECT_EQ(bare->problem("test", 0).prompt,
            "You are an expert Python programmer, and here is your task: Write a. Your code should pass these tests:\n\nassert a(1) == "
            "2\n[BEGIN]\n");
  EXPECT_NE(message_of([&] {
              make_task("mbpp", {{"data", folder.file("few.jsonl", row(2, "a") + row(11, "f"))}});
            }).find("the file lacks problem 3, a worked example of the plain prompt; set task_options.shots=1"),
            std::string::npos);
}

// The published file: its splits, and its own programs are right (every thirtieth).
TEST(Mbpp, RealFile) {
  const fs::path path = human_eval_file().parent_path().parent_path() / "mbpp" / "sanitized-mbpp.json";
  if (!fs::exists(path)) GTEST_SKIP() << "no " << path << "; set R1_DATA";
  const auto task = make_task("mbpp", {{"data", path.string()}, {"test_seconds", 10}});
  EXPECT_EQ(task->size("test"), 257);
  EXPECT_EQ(task->size("train"), 163);
  for (int64_t i = 0; i < 257; i += 30) {
    const Problem p = task->problem("test", i);
    const Score score = task->score(p, p.solution);
    EXPECT_EQ(score.verdict, Verdict::kRight) << p.id << ": " << score.reason;
  }
}

// Every canonical solution is right, and an empty one is wrong. R1_TEST_ALL=1: all 164 problems, else every fourth.
TEST(HumanEval, CanonicalSolutions) {
  if (!fs::exists(human_eval_file())) GTEST_SKIP() << "no " << human_eval_file() << "; set R1_DATA";
  const auto task = make_task("humaneval", {{"data", human_eval_file().string()}, {"warm", 3}, {"test_seconds", 10}});
  ASSERT_EQ(task->size("test"), 164);
  const int step = std::getenv("R1_TEST_ALL") ? 1 : 4;
  std::atomic<int> next{0}, right{0};
  const auto work = [&] {
    for (int i; (i = step * next++) < 164;) {
      const Problem p = task->problem("test", i);
      EXPECT_EQ(verdict_name(task->score(p, p.solution).verdict), std::string("right")) << p.id;
      const auto empty = i % 20 == 0 ? task->score(p, "    return None\n").verdict : Verdict::kWrong;
      EXPECT_EQ(empty, Verdict::kWrong) << p.id;
      ++right;
    }
  };
  std::thread other(work);
  work();
  other.join();
  std::printf("%d canonical solutions judged\n", right.load());
}

}  // namespace
}  // namespace r1::tasks
