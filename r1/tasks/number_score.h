// The score that tasks with one number as answer share: extraction and exact comparison by verify/number_answer.
#pragma once

#include "r1/tasks/task.h"

namespace r1::tasks {

Score score_number(const std::string& gold, const std::string& completion, bool strict);

}  // namespace r1::tasks
