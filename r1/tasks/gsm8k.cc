#include "r1/tasks/gsm8k.h"

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/data/jsonl.h"
#include "r1/tasks/number_score.h"
#include "r1/tasks/options.h"
#include "r1/tasks/prompt_style.h"
#include "r1/verify/number_answer.h"

namespace r1::tasks {
namespace {

std::string trimmed(std::string s) {
  const char* blank = " \t\r\n";
  s.erase(0, std::min(s.find_first_not_of(blank), s.size()));
  s.erase(s.find_last_not_of(blank) + 1);
  return s;
}

class Gsm8k : public Task {
 public:
  explicit Gsm8k(const Json& options) {
    OptionReader o(options, "task gsm8k");
    fs::path train = o.text("train", ""), test = o.text("test", "");
    const fs::path data = o.text("data", "");
    style_ = o.one_of("prompt_style", "boxed", prompt_styles());
    system_ = o.text("system", "");
    strict_ = o.boolean("strict", false);
    const int64_t limit = o.integer("limit", 0, 0, INT64_MAX);
    o.finish();
    if (!data.empty() && fs::is_directory(data)) {
      if (train.empty()) train = data / "train.jsonl";
      if (test.empty()) test = data / "test.jsonl";
    } else if (!data.empty() && test.empty()) {
      test = data;
    }
    if (train.empty() && test.empty())
      fail_usage("task gsm8k: option 'data' is missing: the folder with train.jsonl and test.jsonl, or the test file");
    if (!train.empty()) load(train, "train", limit, train_);
    if (!test.empty()) load(test, "test", limit, test_);
  }

  const std::string& name() const override { return name_; }
  int64_t size(const std::string& split) const override { return int64_t(rows(split).size()); }
  Problem problem(const std::string& split, int64_t index) const override {
    const auto& all = rows(split);
    if (index < 0 || index >= int64_t(all.size()))
      fail("[gsm8k] expected an index below ", all.size(), " in split ", split, ", got ", index);
    return all[size_t(index)];
  }
  Score score(const Problem& problem, const std::string& completion) const override {
    return score_number(problem.gold, completion, strict_);
  }

 private:
  const std::vector<Problem>& rows(const std::string& split) const {
    if (split != "train" && split != "test") fail_usage("task gsm8k: unknown split '", split, "'; there are train and test");
    const auto& all = split == "train" ? train_ : test_;
    if (all.empty()) fail_usage("task gsm8k: split '", split, "' has no file; give option '", split, "'");
    return all;
  }

  void load(const fs::path& path, const std::string& split, int64_t limit, std::vector<Problem>& out) {
    data::JsonlReader reader(path);
    while (auto row = reader.next()) {
      if (limit && int64_t(out.size()) >= limit) break;
      const std::string where = reader.where();
      Problem p;
      p.question = json_get<std::string>(*row, "question", where);
      const std::string answer = json_get<std::string>(*row, "answer", where);
      const size_t mark = answer.rfind("####");
      if (mark == std::string::npos) fail(where, ": the answer has no '#### N' line");
      const auto gold = verify::canonical_number(answer.substr(mark + 4));
      if (!gold) fail(where, ": the gold answer '", trimmed(answer.substr(mark + 4)), "' is no number");
      p.gold = *gold;
      p.id = str("gsm8k/", split, "/", out.size());
      p.solution = styled_solution(style_, trimmed(without_calculator_notes(answer.substr(0, mark))), p.gold);
      apply_prompt_style(p, style_, system_);
      out.push_back(std::move(p));
    }
    if (out.empty()) fail(path.string(), ": no problems in it");
  }

  std::string name_ = "gsm8k", style_, system_;
  bool strict_ = false;
  std::vector<Problem> train_, test_;
};

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
  return std::make_unique<Gsm8k>(options);
}

}  // namespace r1::tasks
