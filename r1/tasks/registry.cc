#include "r1/tasks/registry.h"

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/tasks/arithmetic.h"
#include "r1/tasks/code.h"
#include "r1/tasks/countdown.h"
#include "r1/tasks/gsm8k.h"
#include "r1/tasks/humaneval.h"
#include "r1/tasks/math.h"
#include "r1/tasks/multiple_choice.h"
#include "r1/tasks/svamp.h"

namespace r1::tasks {
namespace {

struct Entry {
  const char* name;
  std::unique_ptr<Task> (*make)(const Json&);
};
constexpr Entry kTasks[] = {
    {"aqua", make_aqua},   {"arithmetic", make_arithmetic}, {"code", make_code_task}, {"countdown", make_countdown},
    {"gsm8k", make_gsm8k}, {"humaneval", make_humaneval},   {"math", make_math},      {"multiple_choice", make_multiple_choice},
    {"svamp", make_svamp},
};

}  // namespace

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const Entry& e : kTasks) names.push_back(e.name);
  return names;
}

std::unique_ptr<Task> make_task(const std::string& name, const Json& options) {
  for (const Entry& e : kTasks) {
    if (name == e.name) return e.make(options);
  }
  std::string list;
  for (const Entry& e : kTasks) list += str(list.empty() ? "" : ", ", e.name);
  const std::string near = nearest_name(name, task_names());
  fail_usage("unknown task '", name, "'", near.empty() ? "" : "; did you mean '" + near + "'?", " Known tasks: ", list);
}

}  // namespace r1::tasks
