#include "r1/tasks/humaneval.h"

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/data/jsonl.h"
#include "r1/tasks/program_task.h"

namespace r1::tasks {
namespace {

constexpr char kChat[] = "Please provide a self-contained Python script that solves the following problem in a markdown code block:\n```\n";

Json with_default_seconds(Json options) {
  if (options.is_null()) options = Json::object();
  if (options.is_object() && !options.contains("test_seconds")) options["test_seconds"] = 3;
  return options;
}

std::string stripped(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

class HumanEval : public ProgramTask {
 public:
  explicit HumanEval(OptionReader o) : ProgramTask("humaneval", o, /*partial_credit=*/false) {
    const fs::path data = o.required_text("data", "the file HumanEval.jsonl.gz");
    const int64_t limit = o.integer("limit", 0, 0, INT64_MAX);
    o.finish();
    data::JsonlReader reader(data);
    while (auto row = reader.next()) {
      if (limit && int64_t(test_.size()) >= limit) break;
      test_.push_back(read(*row, reader.where()));
    }
    if (test_.empty()) fail(data.string(), ": no problems in it");
  }

 private:
  static Problem read(const Json& row, const std::string& where) {
    Problem p;
    const std::string prompt = json_get<std::string>(row, "prompt", where), entry = json_get<std::string>(row, "entry_point", where);
    p.id = json_get<std::string>(row, "task_id", where);
    p.question = p.prompt = prompt;
    p.messages = {{"user", kChat + stripped(prompt) + "\n```"}};
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
