#include "r1/tasks/word_problems.h"

#include "r1/base/error.h"
#include "r1/tasks/file_task.h"
#include "r1/tasks/number_score.h"
#include "r1/tasks/prompt_style.h"
#include "r1/tasks/tagged.h"
#include "r1/verify/number_answer.h"

namespace r1::tasks {
namespace {

class WordProblems : public FileTask {
 public:
  WordProblems(const char* name, const Json& options, WordProblemReader read) : FileTask(name), read_(read) {
    OptionReader o(options, std::string("task ") + name);
    const Files files = file_options(o, /*fraction=*/true);
    style_ = o.one_of("prompt_style", "boxed", prompt_styles());
    system_ = o.text("system", "");
    strict_ = o.boolean("strict", false);
    o.finish();
    load(files);
  }

  Score score(const Problem& problem, const std::string& completion) const override {
    return score_number(problem.gold, completion, strict_);
  }

 private:
  std::optional<Problem> read_row(const Json& row, const std::string& where) override {
    WordProblem w = read_(row, where);
    const auto gold = verify::canonical_number(w.gold);
    if (!gold) fail(where, ": the known answer '", trimmed(w.gold), "' is no number");
    Problem p;
    p.id = std::move(w.id);
    p.question = std::move(w.question);
    p.gold = *gold;
    p.solution = styled_solution(style_, w.thought, p.gold);
    p.extra = std::move(w.extra);
    apply_prompt_style(p, style_, system_);
    return p;
  }

  const WordProblemReader read_;
  std::string style_, system_;
  bool strict_ = false;
};

}  // namespace

std::unique_ptr<Task> make_word_problems(const char* name, const Json& options, WordProblemReader read) {
  return std::make_unique<WordProblems>(name, options, read);
}

}  // namespace r1::tasks
