#include "r1/tasks/math.h"

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/tasks/file_task.h"
#include "r1/tasks/prompt_style.h"
#include "r1/verify/verify.h"

namespace r1::tasks {
namespace {

// How near a number must come.
void read_tolerance(OptionReader& o, verify::EqualityOptions& equality) {
  equality.relative = o.number("relative", 0, 0, 0.1);
  const std::string name = o.one_of("tolerance", equality.relative > 0 ? "relative" : "rounded", {"exact", "rounded", "relative"});
  equality.rounding_digits = int(o.integer("rounding_digits", name == "exact" ? 0 : 6, 0, 1000));
  if (name != "relative" && equality.relative > 0)
    fail_usage("task math: option 'relative' is the share of tolerance relative; with tolerance ", name, " leave it out");
  if (name == "exact" && equality.rounding_digits > 0)
    fail_usage("task math: option 'rounding_digits' goes with tolerance rounded; with tolerance exact leave it out");
  if (name == "relative" && equality.relative == 0) equality.relative = 1e-4;
}

class Math : public FileTask {
 public:
  explicit Math(const Json& options) : FileTask("math") {
    OptionReader o(options, "task math");
    const Files files = file_options(o);
    question_field_ = o.text("question_field", "");
    answer_field_ = o.text("answer_field", "");
    solution_field_ = o.text("solution_field", "");
    id_field_ = o.text("id_field", "");
    style_ = o.one_of("prompt_style", "boxed", prompt_styles());
    system_ = o.text("system", "");
    verify::VerifyOptions v;
    v.marked_only = o.boolean("strict", false);
    v.boxes = o.one_of("boxes", "last", {"last", "first"}) == "first" ? verify::BoxChoice::kFirst : verify::BoxChoice::kLast;
    read_tolerance(o, v.equality);
    v.deadline = o.number("deadline", 2, 0.001, 3600);
    v.workers = int(o.integer("workers", 2, 1, 256));
    o.finish();
    verifier_ = std::make_unique<verify::Verifier>(v);
    load(files);
    if (mixed_)
      log_warning("task math: ", mixed_,
                  " known answers are sentences with mathematics in them, which only the same text can match; the first: ",
                  first_mixed_.substr(0, 120));
  }

  // Thread-safe: the verifier is.
  Score score(const Problem& problem, const std::string& completion) const override {
    verify::AnswerCheck c = verifier_->check(problem.gold, completion);
    return {c.verdict, c.verdict == Verdict::kRight ? 1.0 : 0.0, std::move(c.extracted), verify::answer_place_name(c.place),
            std::move(c.reason)};
  }

 private:
  std::optional<Problem> read_row(const Json& row, const std::string& where) override {
    Problem p;
    const Json* question = field(row, question_field_, {"problem", "question", "prompt"}, where);
    if (!question) fail(where, ": no question: expected one of the keys problem, question, prompt", found_keys(row, "question"));
    p.question = field_text(*question, "the question", where);
    const Json* answer = field(row, answer_field_, {"answer", "final_answer", "expected_answer", "gold", "target"}, where);
    const Json* solution = field(row, solution_field_, {"solution"}, where);
    std::string worked = solution ? field_text(*solution, "the solution", where) : "";
    if (answer) {
      const std::string text = field_text(*answer, "the answer", where);
      bool cut = false;
      verify::marked_text(text, &cut);
      if (cut) fail(where, ": the known answer is cut off: a box or answer tag in it does not close");
      const verify::ExtractedAnswer gold = verify::extract_gold(text);
      p.gold = gold.text;
      if (worked.empty() && gold.place == verify::AnswerPlace::kHashes) worked = text.substr(0, text.rfind("####"));  // GSM8K's form
    } else if (const auto marked = verify::extract_marked(worked)) {
      p.gold = marked->text;
    } else {
      fail(where, solution ? ": the solution marks no answer (\\boxed{} or ####)" : ": neither an answer nor a solution",
           found_keys(row, "answer"));
    }
    if (p.gold.empty()) fail(where, ": the known answer is empty");
    if (verify::gold_kind(p.gold) == verify::GoldKind::kMixed && mixed_++ == 0) first_mixed_ = p.gold;
    const Json* id = field(row, id_field_, {"unique_id", "id", "problem_id"}, where);
    if (id) p.id = field_text(*id, "the id", where);
    if (!worked.empty())
      p.solution = style_ == "boxed" && verify::extract_marked(worked) ? worked : styled_solution(style_, worked, p.gold);
    for (const char* key : {"level", "subject", "type"})
      if (const auto at = row.find(key); at != row.end()) p.extra[key] = *at;
    apply_prompt_style(p, style_, system_);
    return p;
  }

  std::string question_field_, answer_field_, solution_field_, id_field_, style_, system_;
  std::unique_ptr<verify::Verifier> verifier_;
  int64_t mixed_ = 0;  // known answers that are sentences
  std::string first_mixed_;
};

}  // namespace

std::unique_ptr<Task> make_math(const Json& options) {
  return std::make_unique<Math>(options);
}

}  // namespace r1::tasks
