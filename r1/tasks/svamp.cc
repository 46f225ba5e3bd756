#include "r1/tasks/svamp.h"

#include "r1/base/error.h"
#include "r1/tasks/generated.h"
#include "r1/tasks/number_score.h"
#include "r1/tasks/options.h"
#include "r1/tasks/prompt_style.h"
#include "r1/verify/number_answer.h"

namespace r1::tasks {
namespace {

class Svamp : public Task {
 public:
  explicit Svamp(const Json& options) {
    OptionReader o(options, "task svamp");
    const std::string path = o.required_text("data", "the path of SVAMP.json");
    style_ = o.one_of("prompt_style", "boxed", prompt_styles());
    const std::string system = o.text("system", "");
    strict_ = o.boolean("strict", false);
    const int64_t limit = o.integer("limit", 0, 0, INT64_MAX);
    const double train_fraction = o.number("train_fraction", 0, 0, 1);
    o.finish();
    const Json rows = parse_json_file(path);
    if (!rows.is_array()) fail(path, ": expected a list of problems, got ", rows.type_name());
    for (size_t i = 0; i < rows.size(); ++i) add(rows[i], str(path, ", problem ", i), system, train_fraction, limit);
    if (train_.empty() && test_.empty()) fail(path, ": no problems in it");
  }

  const std::string& name() const override { return name_; }
  int64_t size(const std::string& split) const override { return int64_t(rows(split).size()); }
  Problem problem(const std::string& split, int64_t index) const override {
    const auto& all = rows(split);
    if (index < 0 || index >= int64_t(all.size()))
      fail("[svamp] expected an index below ", all.size(), " in split ", split, ", got ", index);
    return all[size_t(index)];
  }
  Score score(const Problem& problem, const std::string& completion) const override {
    return score_number(problem.gold, completion, strict_);
  }

 private:
  const std::vector<Problem>& rows(const std::string& split) const {
    if (split != "train" && split != "test") fail_usage("task svamp: unknown split '", split, "'; there are train and test");
    const auto& all = split == "train" ? train_ : test_;
    if (all.empty()) fail_usage("task svamp: split '", split, "' is empty", split == "train" ? "; set train_fraction" : "");
    return all;
  }

  void add(const Json& row, const std::string& where, const std::string& system, double train_fraction, int64_t limit) {
    const std::string id = json_get<std::string>(row, "ID", where);
    const bool train = double(problem_hash(id) >> 11) * 0x1p-53 < train_fraction;
    std::vector<Problem>& out = train ? train_ : test_;
    if (limit && int64_t(out.size()) >= limit) return;
    Problem p;
    std::string body = json_get<std::string>(row, "Body", where);
    while (!body.empty() && body.back() == ' ') body.pop_back();
    if (!body.empty() && std::string(".,?!").find(body.back()) == std::string::npos) body += '.';
    p.question = body + " " + json_get<std::string>(row, "Question", where);
    const auto answer = row.find("Answer");
    if (answer == row.end()) fail(where, ": key 'Answer' is missing");
    const auto gold = verify::canonical_number(answer->is_string() ? answer->get<std::string>() : answer->dump());
    if (!gold) fail(where, ": the answer ", answer->dump(), " is no number");
    p.gold = *gold;
    p.id = str("svamp/", train ? "train/" : "test/", id);
    p.solution = styled_solution(style_, json_get<std::string>(row, "Equation", where) + " = " + p.gold, p.gold);
    p.extra["type"] = json_get_or<std::string>(row, "Type", "", where);
    apply_prompt_style(p, style_, system);
    out.push_back(std::move(p));
  }

  std::string name_ = "svamp", style_;
  bool strict_ = false;
  std::vector<Problem> train_, test_;
};

}  // namespace

std::unique_ptr<Task> make_svamp(const Json& options) {
  return std::make_unique<Svamp>(options);
}

}  // namespace r1::tasks
