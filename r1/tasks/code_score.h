// From a completion to a verdict on its program: what the code tasks and the code rewards share.
//
// A problem carries what it needs in `extra`: "suite" (verify/judge/suite_json.h), "language" (default python), and, where the prompt is
// the beginning of the program (HumanEval), "prompt_code" with the suite's entry point:
//   - a program that defines the entry point is put after the part of the prompt in front of that function (imports, helpers);
//   - an indented continuation, bare or fenced, is put after the whole prompt, cut where it leaves the function;
//   - anything else is no program.
// Without "prompt_code" the program is what verify/judge/extract.h finds.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "r1/tasks/options.h"
#include "r1/tasks/task.h"
#include "r1/verify/judge/judge.h"

namespace r1::tasks {

// nullopt: there is no program in it.
std::optional<std::string> program_of(const Problem& problem, const std::string& completion);

class CodeScorer {
 public:
  // Reads options test_seconds, deadline, judge_workers, warm, memory_mb. Throws where programs cannot be run safely (fail closed).
  explicit CodeScorer(OptionReader& options);

  bool has_tests(const Problem& problem) const;
  // The problem must have tests. With early_stop the first test that does not pass ends it: for scores that are all or nothing.
  verify::judge::Report judge(const Problem& problem, const std::string& program, bool early_stop) const;

 private:
  verify::judge::CheckOptions check_;
  std::unique_ptr<verify::judge::Judge> judge_;
};

// right: every test passed; timeout; crash: this machine cannot run it; else wrong.
Verdict task_verdict(verify::judge::Verdict verdict);

}  // namespace r1::tasks
