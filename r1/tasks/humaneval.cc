#include "r1/tasks/humaneval.h"

#include "r1/tasks/program_task.h"
#include "r1/tasks/tagged.h"

namespace r1::tasks {
namespace {

constexpr char kChat[] = "Please provide a self-contained Python script that solves the following problem in a markdown code block:\n```\n";

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
    const std::string prompt = row_text(row, "prompt", where), entry = row_text(row, "entry_point", where);
    p.id = row_text(row, "task_id", where);
    p.question = p.prompt = prompt;
    p.messages = {{"user", kChat + trimmed(prompt) + "\n```"}};
    p.solution = p.gold = row_text(row, "canonical_solution", where);
    p.extra = {{"language", "python"},
               {"prompt_code", prompt},
               {"suite", {{"check", row_text(row, "test", where)}, {"entry_point", entry}, {"context", prompt}}}};
    return p;
  }
};

}  // namespace

std::unique_ptr<Task> make_humaneval(const Json& options) {
  return std::make_unique<HumanEval>(OptionReader(with_default_seconds(options), "task humaneval"));
}

}  // namespace r1::tasks
