#include "r1/tasks/mbpp.h"

#include <map>

#include "r1/base/error.h"
#include "r1/tasks/code.h"
#include "r1/tasks/program_task.h"
#include "r1/tasks/tagged.h"
#include "r1/verify/judge/suite_json.h"

namespace r1::tasks {
namespace {

constexpr char kTask[] = "You are an expert Python programmer, and here is your task: ";
constexpr char kChat[] =
    "Please provide a self-contained Python script that solves the following problem in a markdown code block:\n```\n\"\"\"\n";
constexpr char kDone[] = "[DONE]";
constexpr int64_t kExamples[] = {2, 3, 4}, kLastExample = 10, kLastTest = 510;

int64_t id_of(const Json& row, const std::string& where) {
  const auto at = row.find("task_id");
  if (at == row.end()) fail(where, ": key 'task_id' is missing");
  if (at->is_number_integer()) return at->get<int64_t>();
  const std::string text = field_text(*at, "task_id", where);  // of a table
  if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != std::string::npos)
    fail(where, ": task_id expected a number, got '", printable(text), "'");
  return std::stoll(text);
}

class Mbpp : public ProgramTask {
 public:
  explicit Mbpp(OptionReader o) : ProgramTask("mbpp", o, /*partial_credit=*/false) {
    const Files files = file_options(o);
    splits_by_row_ = o.boolean("published_split", true);
    shots_ = size_t(o.integer("shots", 3, 0, 3));
    shown_tests_ = size_t(o.integer("shown_tests", 3, 0, 1000));
    o.finish();
    load(files);
    for (size_t i = 0; i < shots_; ++i)
      if (!examples_.count(kExamples[i]))
        fail_usage("task mbpp: the file lacks problem ", kExamples[i],
                   ", a worked example of the plain prompt; set task_options.shots=", i);
  }

  Problem problem(const std::string& split, int64_t index) const override {
    Problem p = FileTask::problem(split, index);
    std::string shots;
    for (size_t i = 0; i < shots_; ++i) shots += examples_.at(kExamples[i]);
    p.prompt = shots + p.prompt;
    return p;
  }

  Score score(const Problem& problem, const std::string& completion) const override {
    return ProgramTask::score(problem, completion.substr(0, completion.find(kDone)));
  }

 private:
  // Rows of the examples come to read_row() with the file's split.
  std::string split_of(const Json& row, const std::string& split, const std::string& where) const override {
    if (!splits_by_row_) return split;
    const int64_t id = id_of(row, where);
    return id <= kLastExample ? split : id <= kLastTest ? "test" : "train";
  }

  std::optional<Problem> read_row(const Json& row, const std::string& where) override {
    const int64_t id = id_of(row, where);
    const Json* text = field(row, "", {"text", "prompt"}, where);
    if (!text) fail(where, ": no problem text: expected 'text' or 'prompt'", found_keys(row, "prompt"));
    std::string language = "python";
    const auto suite = suite_of_row(row, language, where);
    if (!suite) fail(where, ": no tests: expected 'test_list'", found_keys(row, "test_list"));
    std::string tests;
    for (size_t i = 0; i < suite->tests.size() && i < shown_tests_; ++i) tests += (i ? "\n" : "") + suite->tests[i].input;
    Problem p;
    p.id = std::to_string(id);
    p.question = trimmed(field_text(*text, "the problem", where));
    p.gold = row_text(row, "code", where);
    p.prompt = kTask + p.question + (tests.empty() ? "" : " Your code should pass these tests:\n\n" + tests) + "\n[BEGIN]\n";
    if (id <= kLastExample) {
      for (const int64_t example : kExamples)
        if (example == id) examples_[id] = p.prompt + trimmed(p.gold) + "\n" + kDone + "\n\n";
      if (splits_by_row_) return std::nullopt;
    }
    p.messages = {{"user", kChat + p.question + "\n" + tests + "\n\"\"\"\n```"}};
    p.solution = "```python\n" + trimmed(p.gold) + "\n```";
    p.extra = {{"language", "python"}, {"suite", verify::judge::suite_to_json(*suite)}};
    return p;
  }

  size_t shots_ = 0, shown_tests_ = 0;
  std::map<int64_t, std::string> examples_;
};

}  // namespace

std::unique_ptr<Task> make_mbpp(const Json& options) {
  return std::make_unique<Mbpp>(OptionReader(with_default_seconds(options), "task mbpp"));
}

}  // namespace r1::tasks
