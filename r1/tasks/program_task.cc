#include "r1/tasks/program_task.h"

namespace r1::tasks {

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
