#include "r1/tasks/program_task.h"

#include "r1/base/error.h"

namespace r1::tasks {

const std::vector<Problem>& ProgramTask::rows(const std::string& split) const {
  if (split != "train" && split != "test") fail_usage("task ", name_, ": unknown split '", split, "'; there are train and test");
  const auto& all = split == "train" ? train_ : test_;
  if (all.empty()) fail_usage("task ", name_, ": split '", split, "' has no file; give option '", split, "'");
  return all;
}

Problem ProgramTask::problem(const std::string& split, int64_t index) const {
  const auto& all = rows(split);
  if (index < 0 || index >= int64_t(all.size()))
    fail("[", name_, "] expected an index below ", all.size(), " in split ", split, ", got ", index);
  return all[size_t(index)];
}

Score ProgramTask::score(const Problem& problem, const std::string& completion) const {
  Score score{Verdict::kUnparsed, 0, ""};
  const auto program = program_of(problem, completion);
  if (!program) return score;
  score.extracted = *program;
  const auto report = scorer_.judge(problem, *program, /*early_stop=*/!partial_credit_);
  score.verdict = task_verdict(report.verdict);
  score.accuracy = partial_credit_ ? report.fraction() : report.passed() ? 1 : 0;
  return score;
}

}  // namespace r1::tasks
