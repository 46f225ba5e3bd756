// What the tasks over programs share: problems from a file, scored by running the program of the completion.
#pragma once

#include <string>
#include <vector>

#include "r1/tasks/code_score.h"
#include "r1/tasks/options.h"
#include "r1/tasks/task.h"

namespace r1::tasks {

class ProgramTask : public Task {
 public:
  const std::string& name() const override { return name_; }
  int64_t size(const std::string& split) const override { return int64_t(rows(split).size()); }
  Problem problem(const std::string& split, int64_t index) const override;
  // verdict: right if every test passed. accuracy: 1 or 0; with partial_credit the share of passed tests. extracted: the program.
  Score score(const Problem& problem, const std::string& completion) const override;

 protected:
  ProgramTask(std::string name, OptionReader& options, bool partial_credit)
      : name_(std::move(name)), partial_credit_(partial_credit), scorer_(options) {}
  std::vector<Problem> train_, test_;

 private:
  const std::vector<Problem>& rows(const std::string& split) const;

  std::string name_;
  bool partial_credit_;
  CodeScorer scorer_;
};

}  // namespace r1::tasks
