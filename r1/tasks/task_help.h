// What a person is told of the tasks: r1 eval --list_tasks, r1 eval --help TASK.
#pragma once

#include <string>

namespace r1::tasks {

// Every task: what it is, its files, the names of its options, an example.
std::string tasks_overview();
// One task: each option with default, limits and meaning. Usage error for an unknown name.
std::string task_help(const std::string& name);
// One option in words; names mean the same in all tasks. "" if it has none (a test holds that none lacks one).
std::string option_help(const std::string& key);

}  // namespace r1::tasks
