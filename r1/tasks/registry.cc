#include "r1/tasks/registry.h"

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/tasks/arithmetic.h"
#include "r1/tasks/code.h"
#include "r1/tasks/countdown.h"
#include "r1/tasks/gsm8k.h"
#include "r1/tasks/humaneval.h"
#include "r1/tasks/math.h"
#include "r1/tasks/mbpp.h"
#include "r1/tasks/multiple_choice.h"
#include "r1/tasks/svamp.h"

namespace r1::tasks {
namespace {

struct Entry {
  const char* name;
  std::unique_ptr<Task> (*make)(const Json&);
  const char *what, *files, *options;
};
constexpr Entry kTasks[] = {
    {"aqua", make_aqua, "AQuA-RAT: algebra with five options, the answer is a letter",
     "dev.json, test.json: question, options [\"A)..\"], correct, rationale", "--data aqua/test.jsonl"},
    {"arithmetic", make_arithmetic, "sums made from a seed: chains from left to right, or long numbers in columns", "",
     "--task_options.style=columns --task_options.digits=4"},
    {"code", make_code_task, "programs judged by their tests (APPS, TACO, LiveCodeBench, open-r1 and one's own)",
     "any file of rows with a problem text and tests", "--data problems.jsonl"},
    {"countdown", make_countdown, "reach a target from given numbers, made from a seed", "", "--task_options.numbers=4"},
    {"gsm8k", make_gsm8k, "GSM8K: word problems, the answer is a number",
     "train.jsonl, test.jsonl: question, answer with a line \"#### N\"", "--data gsm8k --limit 100"},
    {"humaneval", make_humaneval, "HumanEval: Python functions to complete, judged by hidden tests",
     "HumanEval.jsonl.gz: task_id, prompt, entry_point, canonical_solution, test",
     "--data HumanEval.jsonl.gz --num_samples 10 --pass_at 1 10"},
    {"math", make_math, "mathematics with a known answer, graded as expressions (MATH, AIME and one's own)",
     "any file of rows with problem or question, and answer or a solution with \\boxed{}", "--data math.csv --columns.question=Text"},
    {"mbpp", make_mbpp, "MBPP: short Python functions, judged by asserts",
     "mbpp.jsonl or sanitized-mbpp.json: task_id, text or prompt, code, test_list", "--data sanitized-mbpp.json"},
    {"multiple_choice", make_multiple_choice, "questions with options, the answer is a letter",
     "any file of rows with question, options or choices, and answer", "--data questions.jsonl --task_options.shuffle=true"},
    {"svamp", make_svamp, "SVAMP: one-step word problems, the answer is a number", "SVAMP.json: ID, Body, Question, Equation, Answer",
     "--data SVAMP.json"},
};

const Entry& entry_of(const std::string& name) {
  for (const Entry& e : kTasks)
    if (name == e.name) return e;
  std::string list;
  for (const Entry& e : kTasks) list += str(list.empty() ? "" : ", ", e.name);
  const std::string near = nearest_name(name, task_names());
  fail_usage("unknown task '", name, "'", near.empty() ? "" : "; did you mean '" + near + "'?",
             near.empty() ? ". Known tasks: " : " Known tasks: ", list);
}

}  // namespace

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const Entry& e : kTasks) names.push_back(e.name);
  return names;
}

std::unique_ptr<Task> make_task(const std::string& name, const Json& options) {
  return entry_of(name).make(options);
}

TaskInfo task_info(const std::string& name) {
  const Entry& e = entry_of(name);
  return {e.name, e.what, e.files, e.options};
}

std::vector<OptionInfo> task_options(const std::string& name) {
  try {
    entry_of(name).make(describe_options());
  } catch (const DescribedOptions& described) {
    return described.options;
  }
  fail("[task ", name, "] its constructor does not call OptionReader::finish()");
}

}  // namespace r1::tasks
