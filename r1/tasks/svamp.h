// SVAMP (Patel et al. 2021, "Are NLP Models really able to Solve Simple Math Word Problems?"): 1,000 one-step word problems, all of them a
// test set. File: SVAMP.json, a list of {"ID","Body","Question","Equation","Answer","Type"}. There is no official training split;
// train_fraction (default 0) sets one apart by a hash of the ID. Options: word_problems.h.
#pragma once

#include "r1/tasks/task.h"

namespace r1::tasks {

std::unique_ptr<Task> make_svamp(const Json& options);

}  // namespace r1::tasks
