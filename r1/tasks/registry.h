// Tasks by name. To add one: docs/adding_a_task.md.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "r1/base/json.h"
#include "r1/tasks/options.h"
#include "r1/tasks/task.h"

namespace r1::tasks {

// The options stand in each task's file; TaskInfo and task_help.h list them for people. An unknown name is a usage error that names the
// nearest one; so are unknown options.
std::unique_ptr<Task> make_task(const std::string& name, const Json& options = Json::object());
std::vector<std::string> task_names();

struct TaskInfo {
  std::string name, what;
  std::string files;    // as published; "" for generated tasks
  std::string options;  // of an example: "--data gsm8k/test.jsonl --limit 100"
};
// Usage error as make_task's.
TaskInfo task_info(const std::string& name);
// What the task reads, in its order.
std::vector<OptionInfo> task_options(const std::string& name);

}  // namespace r1::tasks
