// Tasks by name. To add one: docs/adding_a_task.md.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "r1/base/json.h"
#include "r1/tasks/task.h"

namespace r1::tasks {

// arithmetic, countdown: {"seed", "train_size", "test_size", ...}; code, gsm8k, humaneval, svamp: {"data"|"train"|"test": path, ...}. The
// options stand in each task's file. An unknown name is a usage error that names the nearest one; so are unknown options.
std::unique_ptr<Task> make_task(const std::string& name, const Json& options = Json::object());
std::vector<std::string> task_names();

}  // namespace r1::tasks
