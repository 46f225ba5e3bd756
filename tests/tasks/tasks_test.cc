// The tasks: known answers, partition, mixture shares, prompts, files.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/tasks/generated.h"
#include "r1/tasks/gsm8k.h"
#include "r1/tasks/registry.h"
#include "r1/tasks/task_help.h"
#include "tests/environment_variable.h"
#include "tests/message_of.h"

namespace r1::tasks {
namespace {

// Longest match over a word list; the way a word-level tokenizer cuts. "" if something is left over.
std::vector<std::string> words(const std::string& text, const std::vector<std::string>& vocabulary) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    std::string best;
    for (const std::string& w : vocabulary) {
      if (w.size() > best.size() && text.compare(at, w.size(), w) == 0) best = w;
    }
    if (best.empty()) return {};
    out.push_back(best);
    at += best.size();
  }
  return out;
}

int left_to_right(const std::string& expression) {
  int total = expression[0] - '0';
  for (size_t i = 1; i + 1 < expression.size(); i += 2) {
    const int b = expression[i + 1] - '0';
    total = expression[i] == '+' ? total + b : expression[i] == '-' ? total - b : total * b;
    EXPECT_TRUE(total >= 0 && total <= 99) << expression;
  }
  return total;
}

TEST(Registry, Suggests) {
  const EnvironmentVariable none("R1_DATA", "");
  const std::vector<std::string> names = task_names();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  for (const char* name : {"aqua", "arithmetic", "code", "countdown", "gsm8k", "humaneval", "math", "mbpp", "multiple_choice", "svamp"})
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
  EXPECT_NE(message_of([] { make_task("arithmatic"); }).find("did you mean 'arithmetic'?"), std::string::npos);
  EXPECT_NE(message_of([] { make_task("arithmetic", {{"step", 4}}); }).find("did you mean 'steps'?"), std::string::npos);
  EXPECT_NE(message_of([] { make_task("arithmetic", {{"steps", 0}}); }).find("expected an integer in [1, 50], got 0"), std::string::npos);
  EXPECT_NE(message_of([] { make_task("gsm8k"); }).find("option 'data' is missing"), std::string::npos);
  EXPECT_NE(message_of([] { make_task("arithmetic")->problem("dev", 0); }).find("unknown split 'dev'"), std::string::npos);
}

// What --list_tasks says comes from the tasks themselves; only the words for an option stand elsewhere.
TEST(TaskHelp, EveryTaskAndOptionIsExplained) {
  const EnvironmentVariable none("R1_DATA", "");
  const std::string overview = tasks_overview();
  for (const std::string& name : task_names()) {
    const auto options = task_options(name);
    EXPECT_FALSE(options.empty()) << name;
    EXPECT_FALSE(task_info(name).what.empty());
    EXPECT_NE(overview.find("r1 eval MODEL --task " + name), std::string::npos) << name;
    const std::string help = task_help(name);
    for (const OptionInfo& option : options) {
      EXPECT_NE(option_help(option.key), "") << name << "." << option.key;
      EXPECT_NE(help.find(option.key == "columns" ? "--columns.NAME=KEY " : "--task_options." + option.key + " "), std::string::npos)
          << option.key;
    }
  }
  const std::string gsm8k = task_help("gsm8k");
  EXPECT_NE(gsm8k.find("(boxed) [plain | hashes | boxed | r1_zero]"), std::string::npos) << gsm8k;
  EXPECT_NE(gsm8k.find("train.jsonl, test.jsonl: question, answer with a line \"#### N\""), std::string::npos) << gsm8k;
  EXPECT_NE(task_help("humaneval").find("test_seconds"), std::string::npos);
  EXPECT_NE(message_of([] { task_help("gsm8q"); }).find("did you mean 'gsm8k'?"), std::string::npos);
}

TEST(Chain, KnownAnswersAndScores) {
  const auto task = make_task("arithmetic", {{"seed", 3}});
  for (int i = 0; i < 300; ++i) {
    const Problem p = task->problem("train", i);
    const std::string e = p.extra["expression"];
    ASSERT_EQ(e.size(), 11u);
    ASSERT_EQ(p.prompt, "start " + e + ":");
    ASSERT_EQ(p.gold, std::to_string(left_to_right(e)));
    ASSERT_EQ(task->score(p, p.solution).accuracy, 1);
    ASSERT_EQ(task->score(p, "<think></think><answer>" + std::to_string(std::stoi(p.gold) + 1) + "</answer>").verdict, Verdict::kWrong);
    ASSERT_EQ(task->score(p, "<think> 1 </think> <answer> " + p.gold + " </answer>").verdict, Verdict::kRight);  // spaces between tokens
    ASSERT_EQ(task->score(p, " 1+1=2 answer " + p.gold).verdict, Verdict::kRight);                               // the base's format
    ASSERT_EQ(task->score(p, "<think>" + p.gold).verdict, Verdict::kUnparsed);
    ASSERT_EQ(task->score(p, p.gold).verdict, Verdict::kUnparsed);
  }
  const Problem p = task->problem("test", 0);
  EXPECT_EQ(p.id, "arithmetic/test/0");
  EXPECT_EQ(task->problem("test", 0).prompt, p.prompt);
  EXPECT_NE(make_task("arithmetic", {{"seed", 4}})->problem("test", 0).prompt, p.prompt);
}

TEST(Chain, SplitsNeverShare) {
  std::set<std::string> test;
  for (const int seed : {1, 2}) {
    const auto task = make_task("arithmetic", {{"seed", seed}, {"steps", 2}});  // small enough to collide if the partition were by index
    for (int i = 0; i < 800; ++i) test.insert(task->problem("test", i).prompt);
  }
  const auto task = make_task("arithmetic", {{"seed", 1}, {"steps", 2}});
  for (int i = 0; i < 4000; ++i) {
    ASSERT_FALSE(test.count(task->problem("train", i).prompt));
    const std::string document = task->pretrain_document(i);
    ASSERT_FALSE(test.count(document.substr(0, document.find(':') + 1))) << document;
  }
}

TEST(Chain, DocumentShares) {
  const auto task = make_task("arithmetic", {{"seed", 5}});
  const auto vocabulary = task->vocabulary();
  EXPECT_EQ(std::set<std::string>(vocabulary.begin(), vocabulary.end()).size(), vocabulary.size());
  const int n = 20'000;
  int drills = 0, full = 0, broken = 0;
  for (int i = 0; i < n; ++i) {
    const std::string d = task->pretrain_document(i);
    if (i < 500) {
      ASSERT_FALSE(words(d, vocabulary).empty()) << d;
    }
    if (d[0] != 's') {
      ++drills;
      continue;
    }
    const std::string expression = d.substr(6, 11);
    ASSERT_EQ(d.substr(d.rfind(' ') + 1), std::to_string(left_to_right(expression)));
    const auto steps = std::count(d.begin(), d.end(), '=');
    ++(steps == 5 ? full : broken);
  }
  EXPECT_NEAR(drills / double(n), 0.15, 0.01);
  EXPECT_NEAR(full / double(n), 0.85 * 0.6, 0.012);
  EXPECT_NEAR(broken / double(n), 0.85 * 0.4, 0.012);
}

TEST(Chain, DrillsAreTrue) {
  const auto task = make_task("arithmetic", {{"drill_share", 1.0}});
  for (int i = 0; i < 2000; ++i) {
    std::istringstream in(task->pretrain_document(i));
    int a, b, c;
    char op, equals;
    int n = 0;
    while (in >> a >> op >> b >> equals >> c) {
      ASSERT_EQ(op == '+' ? a + b : op == '-' ? a - b : a * b, c);
      ASSERT_TRUE(c >= 0 && c <= 99 && b >= 2 && b <= 9);
      ++n;
    }
    ASSERT_EQ(n, 5);
  }
}

TEST(Chain, SftShares) {
  const auto task = make_task("arithmetic", {{"seed", 6}});
  const Problem p = task->problem("train", 1);
  std::map<int, int> steps;
  const int n = 20'000;
  for (int i = 0; i < n; ++i) {
    const std::string c = task->sft_completion(p, i);
    ASSERT_EQ(task->score(p, c).accuracy, 1);
    ++steps[int(std::count(c.begin(), c.end(), '='))];
    if (i < 100) {
      ASSERT_FALSE(words(c, task->vocabulary()).empty());
    }
  }
  EXPECT_NEAR(steps[0] / double(n), 0.70, 0.012);
  EXPECT_NEAR(steps[5] / double(n), 0.18, 0.012);
  EXPECT_NEAR((steps[1] + steps[2] + steps[3] + steps[4]) / double(n), 0.12, 0.012);
}

TEST(Columns, ValuesOfEveryOperator) {
  for (const int digits : {1, 3, 9, 18}) {
    const auto task = make_task("arithmetic", {{"style", "columns"}, {"digits", digits}, {"operators", digits > 9 ? "+-*" : "+-*/"}});
    for (int i = 0; i < 400; ++i) {
      const Problem p = task->problem(i % 2 ? "train" : "test", i);
      long long a, b;
      char op;
      ASSERT_EQ(std::sscanf(p.prompt.c_str(), "%lld%c%lld=", &a, &op, &b), 3);
      if (digits <= 9) {
        const long long v = op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : a / b;
        ASSERT_EQ(p.gold, std::to_string(v)) << p.prompt;
        if (op == '/') {
          ASSERT_EQ(v * b, a);
        }
      }
      ASSERT_EQ(task->score(p, p.solution).accuracy, 1) << p.solution;
      ASSERT_EQ(task->score(p, p.gold).accuracy, 1);
      ASSERT_FALSE(words(p.solution, task->vocabulary()).empty()) << p.solution;
      ASSERT_FALSE(words(task->pretrain_document(i), task->vocabulary()).empty());
      ASSERT_EQ(task->score(p, task->sft_completion(p, i)).accuracy, 1);
    }
  }
}

TEST(Columns, ThoughtsByHand) {
  const auto task = make_task("arithmetic", {{"style", "columns"}, {"digits", 2}});
  bool plus = false, minus = false;
  for (int i = 0; i < 60'000 && !(plus && minus); ++i) {
    const Problem p = task->problem("train", i);
    if (p.prompt == "58+67=") plus = p.extra["thought"] == "8+7=15 5 carry 1 5+6+1=12 2 carry 1" && p.gold == "125";
    if (p.prompt == "52-38=") minus = p.extra["thought"] == "12-8=4 borrow 1 5-3-1=1" && p.gold == "14";
  }
  EXPECT_TRUE(plus || is_test_problem("58+67"));
  EXPECT_TRUE(minus || is_test_problem("52-38"));
}

TEST(Countdown, SolutionsAreRight) {
  for (const Json& options :
       {Json{{"seed", 1}}, Json{{"numbers", 4}, {"operators", "+-*/"}, {"max_tries", 20}}, Json{{"use_all", false}, {"operators", "+-"}}}) {
    const auto task = make_task("countdown", options);
    const auto vocabulary = task->vocabulary();
    for (int i = 0; i < 60; ++i) {
      const Problem p = task->problem("train", i);
      ASSERT_EQ(task->score(p, p.solution).accuracy, 1) << p.prompt << p.solution;
      ASSERT_EQ(task->score(p, task->sft_completion(p, i)).accuracy, 1);
      ASSERT_EQ(task->score(p, "answer " + p.gold + " = " + std::to_string(p.extra["target"].get<int>())).accuracy, 1);
      ASSERT_FALSE(words(p.prompt + p.solution, vocabulary).empty()) << p.solution;
      ASSERT_FALSE(words(task->pretrain_document(i), vocabulary).empty());
    }
    const Problem p = task->problem("test", 3);
    EXPECT_EQ(task->score(p, "<think></think><answer>" + std::to_string(p.extra["target"].get<int>()) + "</answer>").accuracy, 0);
    EXPECT_EQ(task->score(p, "<think></think><answer>what</answer>").verdict, Verdict::kUnparsed);
    EXPECT_EQ(task->score(p, "<think>").verdict, Verdict::kUnparsed);
  }
}

TEST(Countdown, VerdictsInThoughtsAreTrueAndBalanced) {
  const auto task = make_task("countdown", {{"drill_share", 0.5}});
  int yes = 0, no = 0, searches = 0;
  for (int i = 0; i < 3000; ++i) {
    std::istringstream in(task->pretrain_document(i));
    std::string word, before;
    const size_t at = in.str().find("target ");
    if (at == std::string::npos) continue;  // operations
    const int target = std::atoi(in.str().c_str() + at + 7);
    const bool drill = in.str().find("answer") == std::string::npos;
    while (in >> word) {
      if (word == "yes" || word == "no") {  // after "18" in a drill, "10+8=18" in a search
        ASSERT_EQ(std::atoi(before.c_str() + before.find('=') + 1) == target, word == "yes") << in.str();
        if (drill) ++(word == "yes" ? yes : no);
        searches += !drill;
      }
      before = word;
    }
  }
  EXPECT_GT(searches, 1000);
  EXPECT_NEAR(yes / double(yes + no), 0.5, 0.03);
}

TEST(Countdown, OrderOfNumbersIsNoNewProblem) {
  std::set<std::string> test;
  const auto task = make_task("countdown", {{"max_number", 6}, {"train_size", 5000}});
  const auto key = [](const Problem& p) {
    auto numbers = p.extra["numbers"].get<std::vector<int>>();
    std::sort(numbers.begin(), numbers.end());
    return Json(numbers).dump() + p.extra["target"].dump();
  };
  for (int i = 0; i < 1000; ++i) test.insert(key(task->problem("test", i)));
  for (int i = 0; i < 5000; ++i) {
    ASSERT_FALSE(test.count(key(task->problem("train", i))));
  }
}

fs::path data_folder() {
  const char* given = std::getenv("R1_DATA");
  return given ? fs::path(given) : fs::path(R1_SOURCE_DIR) / ".." / "shared" / "data";
}

TEST(Gsm8k, SmallFile) {
  const fs::path path = fs::path(testing::TempDir()) / ("gsm8k_" + std::to_string(getpid()) + ".jsonl");
  write_file_atomic(path, R"({"question": "How many?", "answer": "2 * 9 = <<2*9=18>>18 eggs\n#### 1,018"})"
                          "\n");
  const auto task = make_task("gsm8k", {{"data", path.string()}, {"prompt_style", "r1_zero"}});
  const Problem p = task->problem("test", 0);
  EXPECT_EQ(p.id, "gsm8k/test/0");
  EXPECT_EQ(p.gold, "1018");
  EXPECT_EQ(p.solution, "<think>\n2 * 9 = 18 eggs\n</think>\n<answer>\n1018\n</answer>");
  EXPECT_NE(p.prompt.find("i.e., <think> reasoning process here </think> <answer> answer here </answer>. User: How many? Assistant:"),
            std::string::npos);
  EXPECT_EQ(p.messages.size(), 2u);
  EXPECT_EQ(task->score(p, "so #### 1018").verdict, Verdict::kRight);
  EXPECT_EQ(task->size("train"), 0);
  EXPECT_NE(message_of([&] { task->problem("train", 0); }).find("split 'train' has no problems; give its file as option 'train'"),
            std::string::npos);
  EXPECT_NE(message_of([&] { required_size(*task, "train", "sft"); }).find("sft needs the train split of task"), std::string::npos);
  EXPECT_EQ(required_size(*task, "test", "eval"), 1);
  write_file_atomic(path, "{\"question\": \"a\", \"answer\": \"b\"}\n");
  EXPECT_NE(message_of([&] {
              make_task("gsm8k", {{"data", path.string()}});
            }).find(":1: the answer has no '#### N' line"),
            std::string::npos);
}

// One rule for every task over files: which files, which splits, what is said when there is none.
class FileTasks : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("file_tasks_" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directory(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text) const {
    make_folder((folder_ / name).parent_path());
    write_file_atomic(folder_ / name, text);
    return (folder_ / name).string();
  }
  fs::path folder_;
};
struct Row {
  const char *task, *row, *id;
};
constexpr Row kRows[] = {
    {"gsm8k", R"({"question":"q","answer":"#### 7"})", ""},
    {"svamp", R"({"ID":"c7","Body":"b","Question":"q","Equation":"7","Answer":7})", "c7"},
    {"math", R"({"problem":"q","answer":"7","id":"m7"})", "m7"},
    {"multiple_choice", R"({"question":"q","options":["a","b"],"answer":"A","id":"o7"})", "o7"},
    {"aqua", R"({"question":"q","options":["A)a","B)b"],"correct":"A"})", ""},
    {"code", R"({"prompt":"q","tests":[{"input":"1","output":"2"}]})", ""},
    {"humaneval", R"({"task_id":"HumanEval/7","prompt":"def f():\n","entry_point":"f","canonical_solution":"  pass","test":"t"})",
     "HumanEval/7"},
};

TEST_F(FileTasks, SplitsAndFolders) {
  const EnvironmentVariable none("R1_DATA", "");
  for (const Row& r : kRows) {
    SCOPED_TRACE(r.task);
    const std::string line = std::string(r.row) + "\n", id = r.id;
    const auto make = [&](const Json& options) { return make_task(r.task, options); };
    const auto refusal = [&](const Json& options) { return message_of([&] { make(options); }); };
    EXPECT_NE(refusal(Json::object()).find(std::string("task ") + r.task + ": option 'data' is missing"), std::string::npos);
    fs::remove(folder_ / "test.jsonl"), fs::remove(folder_ / "train.jsonl");
    EXPECT_NE(refusal({{"data", folder_.string()}}).find("give the files as options 'train' and 'test'"), std::string::npos);
    EXPECT_NE(refusal({{"data", (folder_ / "none.jsonl").string()}}).find("none.jsonl"), std::string::npos);
    EXPECT_NE(refusal({{"data", write("empty.jsonl", "")}}).find("empty.jsonl: no problems in it"), std::string::npos);
    const auto one = make({{"data", write("one.jsonl", line + line + line)}, {"limit", 2}});
    EXPECT_EQ(one->size("test"), 2);
    EXPECT_EQ(one->size("train"), 0);
    EXPECT_EQ(one->problem("test", 1).id, std::string(r.task) + "/test/" + (id.empty() ? "1" : id));
    EXPECT_NE(message_of([&] { one->problem("train", 0); }).find(std::string("task ") + r.task + ": split 'train' has no problems"),
              std::string::npos);
    EXPECT_NE(message_of([&] { one->problem("test", 2); }).find("expected an index below 2 in split test, got 2"), std::string::npos);
    EXPECT_THROW(one->problem("test", -1), Error);
    EXPECT_NE(message_of([&] { one->size("dev"); }).find("unknown split 'dev'"), std::string::npos);
    write("train.jsonl", line);  // a folder with one of the two
    const auto half = make({{"data", folder_.string()}});
    EXPECT_EQ(half->size("train"), 1);
    EXPECT_EQ(half->size("test"), 0);
    EXPECT_EQ(half->problem("train", 0).id, std::string(r.task) + "/train/" + (id.empty() ? "0" : id));
    write("test.jsonl", line + line);
    const auto both = make({{"data", folder_.string()}, {"train", write("own.jsonl", line + line + line)}});
    EXPECT_EQ(both->size("train"), 3) << "a file of its own comes before the folder's";
    EXPECT_EQ(both->size("test"), 2);
    const auto list = make({{"test", write("list.json", " [" + std::string(r.row) + ", " + r.row + "]")}});
    EXPECT_EQ(list->size("test"), 2) << "a JSON list is read as well as lines";
    EXPECT_NE(refusal({{"data", write("bad.json", "[7]")}}).find("bad.json, row 1"), std::string::npos);
    EXPECT_NE(refusal({{"data", write("bad.jsonl", "{}\n")}}).find("bad.jsonl:1"), std::string::npos);
  }
}

TEST_F(FileTasks, AnyFormAnyNamesAnyPlace) {
  write("tables/math_train.csv", "id,Problem,target.value\n1,\"What is\n1+1?\",2\n2,2+2?,4\n");
  write("tables/math_dev.tsv", "Problem\ttarget.value\n3+3?\t6\n");
  const Json columns = {{"question", "Problem"}, {"answer", "target.value"}};
  const auto folder = make_task("math", {{"data", (folder_ / "tables").string()}, {"columns", columns}});
  EXPECT_EQ(folder->size("train"), 2);
  EXPECT_EQ(folder->size("test"), 1);
  EXPECT_EQ(folder->problem("train", 0).question, "What is\n1+1?");
  EXPECT_EQ(folder->problem("train", 0).id, "math/train/1");
  EXPECT_EQ(folder->problem("test", 0).gold, "6");
  EXPECT_EQ(folder->files("train"), (std::vector<std::string>{(folder_ / "tables/math_train.csv").string()}));
  EXPECT_EQ(folder->files("test"), (std::vector<std::string>{(folder_ / "tables/math_dev.tsv").string()}));
  const auto pattern = make_task("math", {{"train", (folder_ / "tables/*.?sv").string()}, {"columns", columns}});
  EXPECT_EQ(pattern->size("train"), 3);
  write("nested.jsonl", R"({"problem": "5+5?", "reward_model": {"ground_truth": 10}})");
  const auto nested =
      make_task("math", {{"data", (folder_ / "nested.jsonl").string()}, {"columns", {{"answer", "reward_model.ground_truth"}}}});
  EXPECT_EQ(nested->problem("test", 0).gold, "10");
  EXPECT_NE(message_of([&] {
              make_task("math", {{"data", (folder_ / "nested.jsonl").string()}, {"columns", {{"answer", "gold"}}}});
            }).find("nested.jsonl:1: key 'gold' (columns.answer) is missing; found: problem, reward_model"),
            std::string::npos);

  write("svamp/SVAMP.json", R"([{"ID":"c7","Body":"b","Question":"q","Equation":"7","Answer":7}])");
  const EnvironmentVariable data("R1_DATA", folder_.string());
  EXPECT_EQ(make_task("svamp")->size("test"), 1) << "found below R1_DATA by the task's name";
  EXPECT_EQ(make_task("svamp", {{"data", "svamp"}})->size("test"), 1);
  EXPECT_EQ(make_task("svamp", {{"data", "svamp/SVAMP.json"}})->size("test"), 1);
  EXPECT_NE(message_of([] { make_task("gsm8k"); }).find("option 'data' is missing"), std::string::npos);
  write("gsm8k/a.jsonl", ""), write("gsm8k/b.jsonl", "");
  EXPECT_NE(message_of([] { make_task("gsm8k"); }).find("has a.jsonl, b.jsonl, none of which says train or test in its name"),
            std::string::npos);
}

TEST_F(FileTasks, AShareOfTheRowsBecomesTrain) {
  std::string rows;
  for (int i = 0; i < 400; ++i)
    rows += R"({"ID":"c)" + std::to_string(i) + R"(","Body":"b","Question":"q","Equation":"7","Answer":7})" + "\n";
  const std::string path = write("svamp.jsonl", rows);
  const auto none = make_task("svamp", {{"data", path}});
  EXPECT_EQ(none->size("test"), 400);
  EXPECT_NE(message_of([&] { none->problem("train", 0); }).find("or set train_fraction"), std::string::npos);
  const auto split = make_task("svamp", {{"data", path}, {"train_fraction", 0.25}});
  EXPECT_EQ(split->size("train") + split->size("test"), 400);
  EXPECT_NEAR(double(split->size("train")), 100, 30);
  std::set<std::string> ids;
  for (const char* side : {"train", "test"})
    for (int64_t i = 0; i < split->size(side); ++i) {
      const std::string id = split->problem(side, i).id;
      ids.insert(id.substr(id.rfind('/')));
    }
  EXPECT_EQ(ids.size(), 400u) << "no problem is on both sides";
  const auto few = make_task("svamp", {{"data", path}, {"train_fraction", 0.25}, {"limit", 10}});
  EXPECT_EQ(few->size("train"), 10);
  EXPECT_EQ(few->size("test"), 10);
  EXPECT_EQ(few->problem("train", 9).id, split->problem("train", 9).id);
}

// Prompts, scores and golds of a data set that the repository does not carry.
TEST_F(FileTasks, WordProblems) {
  const auto task = make_task(
      "svamp",
      {{"data",
        write("s.json",
              R"j([{"ID":"c1","Body":"There are 5 hens  ","Question":"How many?","Equation":"( 5.0 + 2.0 )","Answer":7.0,"Type":"Addition"},
    {"ID":"c2","Body":"Why, though?","Question":"How many?","Equation":"8","Answer":"8"}])j")},
       {"prompt_style", "hashes"},
       {"system", "Be brief."}});
  const Problem p = task->problem("test", 0);
  EXPECT_EQ(p.question, "There are 5 hens. How many?");
  EXPECT_EQ(task->problem("test", 1).question, "Why, though? How many?");
  EXPECT_EQ(p.gold, "7");
  EXPECT_EQ(p.extra["type"], "Addition");
  EXPECT_EQ(p.solution, "( 5.0 + 2.0 ) = 7\n#### 7");
  ASSERT_EQ(p.messages.size(), 2u);
  EXPECT_EQ(p.messages[0].content, "Be brief.");
  EXPECT_EQ(task->score(p, "#### 7").verdict, Verdict::kRight);
  EXPECT_EQ(task->score(p, "#### 8").accuracy, 0);
  EXPECT_EQ(task->score(p, "it is 7").verdict, Verdict::kRight);
  const auto strict = make_task("svamp", {{"data", (folder_ / "s.json").string()}, {"strict", true}});
  EXPECT_EQ(strict->score(p, "it is 7").verdict, Verdict::kUnparsed);
  EXPECT_NE(message_of([&] {
              make_task("svamp", {{"data", write("x.jsonl", R"({"ID":"c1","Body":"b","Question":"q","Equation":"7","Answer":"some"})")}});
            }).find("the known answer 'some' is no number"),
            std::string::npos);
}

TEST(Gsm8k, RealFiles) {
  if (!fs::exists(data_folder() / "gsm8k")) GTEST_SKIP() << "no GSM8K under " << data_folder() << "; set R1_DATA";
  const auto task = make_task("gsm8k", {{"data", (data_folder() / "gsm8k").string()}});
  EXPECT_EQ(task->size("train"), 7473);
  EXPECT_EQ(task->size("test"), 1319);
  for (const char* split : {"train", "test"}) {
    for (int64_t i = 0; i < task->size(split); ++i) {
      const Problem p = task->problem(split, i);
      ASSERT_EQ(task->score(p, p.solution).accuracy, 1) << p.id << ": " << p.solution;
      ASSERT_EQ(p.solution.find("<<"), std::string::npos);
    }
  }
  EXPECT_EQ(task->problem("test", 0).gold, "18");
}

TEST(Svamp, RealFile) {
  const fs::path path = data_folder() / "svamp" / "SVAMP.json";
  if (!fs::exists(path)) GTEST_SKIP() << "no " << path << "; set R1_DATA";
  const auto task = make_task("svamp", {{"data", path.string()}, {"prompt_style", "plain"}});
  ASSERT_EQ(task->size("test"), 1000);
  const Problem p = task->problem("test", 0);
  EXPECT_EQ(p.gold, "51");
  EXPECT_EQ(p.prompt,
            "Question: Each pack of dvds costs 76 dollars. If there is a discount of 25 dollars on each pack. How much do you have to pay "
            "to buy each pack?\nAnswer:");
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(task->score(task->problem("test", i), task->problem("test", i).solution).accuracy, 1);
  }
  const auto split = make_task("svamp", {{"data", path.string()}, {"train_fraction", 0.3}});
  EXPECT_EQ(split->size("train") + split->size("test"), 1000);
  EXPECT_NEAR(double(split->size("train")), 300, 45);
}

TEST(Gsm8k, CalculatorNotes) {
  EXPECT_EQ(without_calculator_notes("a <<1+1=2>>2 b <<3>>3"), "a 2 b 3");
  EXPECT_EQ(without_calculator_notes("1 << 2"), "1 << 2");
}

}  // namespace
}  // namespace r1::tasks
