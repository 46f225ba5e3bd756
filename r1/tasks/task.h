// A task is data + prompt + reward in one file. Evaluation and training call the same reward.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/json.h"
#include "r1/data/messages.h"
#include "r1/verify/verdict.h"

namespace r1::tasks {

struct Problem {
  std::string id;           // stable name: "gsm8k/test/17", "arithmetic/7/123"
  std::string question;     // what the person asks
  std::string prompt;       // plain-format prompt (base models and recipes without a chat template)
  data::Messages messages;  // chat-format prompt
  std::string gold;         // the known answer
  std::string solution;     // a worked solution in the task's thought format, if the task has one (for SFT)
  Json extra;               // what the reward needs besides (numbers of a countdown, ...)
};

// Typed verdict, counted in metrics; never silently 0. The verifier's own, so that nothing is lost between the two.
using Verdict = verify::AnswerVerdict;
inline const char* verdict_name(Verdict verdict) {
  return verify::answer_verdict_name(verdict);
}

struct Score {
  Verdict verdict = Verdict::kWrong;
  double accuracy = 0;    // 1 right, 0 otherwise; tasks with partial credit give a fraction
  std::string extracted;  // what was taken for the answer
  // For people: by which rule it was taken ("boxed": verify/marks.h, or "program"), and why the verdict is what it is. May be empty.
  std::string rule = {}, reason = {};
};

class Task {
 public:
  virtual ~Task() = default;
  virtual const std::string& name() const = 0;
  // Splits: "train" and "test" never share a problem. Generated tasks make problem `index` of a split from the seed; size() is then the
  // number asked for. A split that this task was given no data for has size 0, and its problem() throws, saying what to give.
  virtual int64_t size(const std::string& split) const = 0;
  virtual Problem problem(const std::string& split, int64_t index) const = 0;
  virtual Score score(const Problem& problem, const std::string& completion) const = 0;
  // Pretraining text for generated tasks (document `index` of an endless stream); empty for tasks over files.
  virtual std::string pretrain_document(int64_t index) const {
    (void)index;
    return {};
  }
  // A supervised example: completion for the problem; `index` picks the variant (tasks may mix hasty and worked answers). Empty: use
  // solution.
  virtual std::string sft_completion(const Problem& problem, int64_t index) const {
    (void)index;
    return problem.solution;
  }
  // The files that a split's problems were read from; none for generated tasks.
  virtual std::vector<std::string> files(const std::string& split) const {
    (void)split;
    return {};
  }
  // Every token string that the task's prompts, documents and completions are made of, for a word-level tokenizer (longest match); empty
  // for tasks over text. The space is listed; a tokenizer that drops spaces works too, scoring ignores them.
  virtual std::vector<std::string> vocabulary() const { return {}; }
};

// size(), for work that cannot do without that split: if it is empty, a usage error that says what to give and who needs it (`purpose`:
// "eval_steps"). Asked before a model is loaded.
inline int64_t required_size(const Task& task, const std::string& split, const std::string& purpose) {
  const int64_t size = task.size(split);
  if (size == 0)
    fail_usage(purpose, " needs the ", split, " split of task '", task.name(), "', which has no problems: give its file (task_options.",
               split, ")");
  return size;
}

}  // namespace r1::tasks
