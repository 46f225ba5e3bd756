#include "r1/tasks/humaneval.h"

#include "r1/tasks/program_task.h"
#include "r1/tasks/tagged.h"

namespace r1::tasks {
namespace {

constexpr char kChat[] = "Please provide a self-contained Python script that solves the following problem in a markdown code block:\n```\n";

Json with_default_seconds(Json options) {
  if (options.is_null()) options = Json::object();
  if (options.is_object() && !options.contains("test_seconds")) options["test_seconds"] = 3;
  return options;
}

class HumanEval : public ProgramTask {
 public:
  explicit HumanEval(OptionReader o) : ProgramTask("humaneval", o, /*partial_credit=*/false) {
    const Files files = file_options(o);
    o.finish();
    load(files);
  }

 private:
  std::optional<Problem> read_row(const Json& row, const std::string& where) override {
    Problem p;
    const std::string prompt = json_get<std::string>(row, "prompt", where), entry = json_get<std::string>(row, "entry_point", where);
    p.id = json_get<std::string>(row, "task_id", where);
    p.question = p.prompt = prompt;
    p.messages = {{"user", kChat + trimmed(prompt) + "\n```"}};
    p.solution = p.gold = json_get<std::string>(row, "canonical_solution", where);
    p.extra = {{"language", "python"},
               {"prompt_code", prompt},
               {"suite", {{"check", json_get<std::string>(row, "test", where)}, {"entry_point", entry}, {"context", prompt}}}};
    return p;
  }
};

}  // namespace

std::unique_ptr<Task> make_humaneval(const Json& options) {
  return std::make_unique<HumanEval>(OptionReader(with_default_seconds(options), "task humaneval"));
}

}  // namespace r1::tasks
