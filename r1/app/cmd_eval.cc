// r1 eval MODEL --task TASK: numbers for people on stdout (with --json one object), every sample in a folder. r1 eval --list_tasks [TASK] and
// r1 eval --help TASK say what can be asked.
#include <algorithm>

#include "r1/app/command.h"
#include "r1/base/error.h"
#include "r1/eval/harness.h"
#include "r1/stages/evaluate.h"
#include "r1/tasks/registry.h"
#include "r1/tasks/task_help.h"

namespace r1::app {
namespace {

struct EvalCommand {
  stages::EvalConfig config;
  bool list_tasks = false;

  void visit(Fields& v) {
    v.group("", config);
    v("list_tasks", list_tasks, "print what the tasks are, their files and options, and stop; --list_tasks TASK: more of one");
  }
};

int run_eval(const EvalCommand& command, const CommonOptions& common) {
  if (command.list_tasks) return print_text(tasks::tasks_overview()), 0;
  const Json result = stages::run_evaluation(command.config);
  print_text(common.json ? dump_json(result) + "\n" : eval::result_text(result));
  return 0;
}

// The word after --list_tasks or --help, if there is one.
const std::string* word_after(const Arguments& arguments, const std::vector<std::string>& options) {
  const auto is = [&](const std::string& a) { return std::ranges::find(options, a) != options.end(); };
  const auto at = std::ranges::find_if(arguments, is);
  return at == arguments.end() || at + 1 == arguments.end() || (at + 1)->starts_with("-") ? nullptr : &*(at + 1);
}

}  // namespace

Command cmd_eval() {
  Command command =
      make_command<EvalCommand>("eval", "accuracy of a model on a task, with every sample kept", run_eval, {"model_name_or_path"});
  command.run = [inner = std::move(command.run)](const Command& self, const Arguments& arguments) {
    const std::string* task = word_after(arguments, {"--list_tasks", "--list-tasks"});
    if (!task || *task == "true" || *task == "false") return inner(self, arguments);
    print_text(tasks::task_help(*task));
    return 0;
  };
  command.help_for = [](const Arguments& arguments) {
    const std::string* task = word_after(arguments, {"--help", "-h"});
    return task ? tasks::task_help(*task) : "";
  };
  return command;
}

}  // namespace r1::app
