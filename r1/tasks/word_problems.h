// Word problems whose answer is one number: GSM8K, SVAMP and their like. A data set says how its rows are read; prompts, scoring and
// options are the same for all.
//
// Options: data, train, test, limit and train_fraction (file_task.h), prompt_style (plain | hashes | boxed | r1_zero), system (text), strict
// (only marked answers count).
#pragma once

#include "r1/tasks/task.h"

namespace r1::tasks {

struct WordProblem {
  std::string id;  // "": rows are numbered
  std::string question;
  std::string gold;     // as written; must be one number
  std::string thought;  // the worked solution without its answer
  Json extra;
};
using WordProblemReader = WordProblem (*)(const Json& row, const std::string& where);

std::unique_ptr<Task> make_word_problems(const char* name, const Json& options, WordProblemReader read);

}  // namespace r1::tasks
