// What the tasks over programs share: problems from a file, scored by running the program of the completion.
#pragma once

#include <string>

#include "r1/tasks/code_score.h"
#include "r1/tasks/file_task.h"

namespace r1::tasks {

// The options with the 3 s a test that the official harnesses of HumanEval and MBPP allow, unless they say otherwise.
Json with_default_seconds(Json options);

class ProgramTask : public FileTask {
 public:
  // verdict: right if every test passed. accuracy: 1 or 0; with partial_credit the share of passed tests. extracted: the program.
  Score score(const Problem& problem, const std::string& completion) const override;

 protected:
  ProgramTask(std::string name, OptionReader& options, bool partial_credit)
      : FileTask(std::move(name)), partial_credit_(partial_credit), scorer_(options) {}

 private:
  bool partial_credit_;
  CodeScorer scorer_;
};

}  // namespace r1::tasks
