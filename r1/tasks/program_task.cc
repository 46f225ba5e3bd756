#include "r1/tasks/program_task.h"

#include "r1/base/error.h"

namespace r1::tasks {
namespace {

// "3 of 5 tests passed; wrong: expected [1, 2], got []"
std::string report_reason(const verify::judge::Report& report) {
  const std::string passed = str(report.passes(), " of ", report.tests.size(), " tests passed");
  if (report.passed()) return passed;
  return str(passed, "; ", verify::judge::verdict_name(report.verdict), report.detail.empty() ? "" : ": " + report.detail);
}

}  // namespace

Json with_default_seconds(Json options) {
  if (options.is_null()) options = Json::object();
  if (options.is_object() && !options.contains("test_seconds")) options["test_seconds"] = 3;
  return options;
}

Score ProgramTask::score(const Problem& problem, const std::string& completion) const {
  Score score{Verdict::kUnparsed, 0, ""};
  const auto program = program_of(problem, completion);
  score.rule = program ? "program" : "none";
  score.reason = program ? "" : "no program in it";
  if (!program) return score;
  score.extracted = *program;
  const auto report = scorer_.judge(problem, *program, /*early_stop=*/!partial_credit_);
  score.verdict = task_verdict(report.verdict);
  score.accuracy = partial_credit_ ? report.fraction() : report.passed() ? 1 : 0;
  score.reason = report_reason(report);
  return score;
}

}  // namespace r1::tasks
