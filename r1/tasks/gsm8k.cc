#include "r1/tasks/gsm8k.h"

#include "r1/base/error.h"
#include "r1/tasks/file_task.h"
#include "r1/tasks/tagged.h"
#include "r1/tasks/word_problems.h"

namespace r1::tasks {
namespace {

WordProblem read(const Json& row, const std::string& where) {
  WordProblem w;
  w.question = row_text(row, "question", where);
  const std::string answer = row_text(row, "answer", where);
  const size_t mark = answer.rfind("####");
  if (mark == std::string::npos) fail(where, ": the answer has no '#### N' line");
  w.gold = answer.substr(mark + 4);
  w.thought = trimmed(without_calculator_notes(answer.substr(0, mark)));
  return w;
}

}  // namespace

std::string without_calculator_notes(const std::string& solution) {
  std::string out;
  size_t at = 0;
  for (;;) {
    const size_t open = solution.find("<<", at), close = open == std::string::npos ? open : solution.find(">>", open);
    if (close == std::string::npos) return out += solution.substr(at);
    out.append(solution, at, open - at);
    at = close + 2;
  }
}

std::unique_ptr<Task> make_gsm8k(const Json& options) {
  return make_word_problems("gsm8k", options, read);
}

}  // namespace r1::tasks
