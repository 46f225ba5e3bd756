#include "r1/tasks/svamp.h"

#include "r1/base/error.h"
#include "r1/tasks/file_task.h"
#include "r1/tasks/word_problems.h"
#include "r1/verify/number_answer.h"

namespace r1::tasks {
namespace {

WordProblem read(const Json& row, const std::string& where) {
  WordProblem w;
  w.id = row_text(row, "ID", where);
  std::string body = row_text(row, "Body", where);
  while (!body.empty() && body.back() == ' ') body.pop_back();
  if (!body.empty() && std::string(".,?!").find(body.back()) == std::string::npos) body += '.';
  w.question = body + " " + row_text(row, "Question", where);
  const auto answer = row.find("Answer");
  if (answer == row.end()) fail(where, ": key 'Answer' is missing", found_keys(row, "Answer"));
  w.gold = answer->is_string() ? answer->get<std::string>() : answer->dump();
  w.thought = row_text(row, "Equation", where) + " = " + verify::canonical_number(w.gold).value_or(w.gold);
  w.extra["type"] = json_get_or<std::string>(row, "Type", "", where);
  return w;
}

}  // namespace

std::unique_ptr<Task> make_svamp(const Json& options) {
  return make_word_problems("svamp", options, read);
}

}  // namespace r1::tasks
