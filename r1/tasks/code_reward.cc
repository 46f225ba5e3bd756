#include "r1/tasks/code_reward.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "r1/base/threads.h"
#include "r1/tasks/code_score.h"
#include "r1/verify/judge/language.h"

namespace r1::tasks {
namespace {

using verify::judge::Report;
using JudgeVerdict = verify::judge::Verdict;
using Points = std::optional<double>;

// body(i) for i < n in a few threads; the first exception comes out.
void in_parallel(size_t n, const std::function<void(size_t)>& body) {
  std::atomic<size_t> next{0};
  std::exception_ptr error;
  std::mutex mutex;
  const auto work = [&] {
    for (size_t i; (i = next++) < n;) {
      try {
        body(i);
      } catch (...) {
        std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
        next = n;
      }
    }
  };
  std::vector<std::thread> threads;
  for (size_t t = 1; t < std::min(n, size_t(usable_cpus())); ++t) threads.emplace_back(work);
  work();
  for (std::thread& t : threads) t.join();
  if (error) std::rethrow_exception(error);
}

class ProgramReward : public Reward {
 public:
  struct Rule {
    double without_program = 0;
    bool early_stop = false;
    std::function<double(const Report&)> points;
  };
  ProgramReward(OptionReader& options, Rule rule) : scorer_(options), rule_(std::move(rule)) {}

  std::vector<Points> operator()(std::span<const RewardInput> group) const override {
    std::vector<Points> out(group.size());
    in_parallel(group.size(), [&](size_t i) { out[i] = one(group[i]); });
    return out;
  }

 private:
  Points one(const RewardInput& input) const {
    if (!input.problem || !scorer_.has_tests(*input.problem)) return std::nullopt;
    const auto program = program_of(*input.problem, input.completion);
    if (!program) return rule_.without_program;
    const Report report = scorer_.judge(*input.problem, *program, rule_.early_stop);
    if (report.verdict == JudgeVerdict::kToolchainMissing || report.verdict == JudgeVerdict::kSandboxMissing) return std::nullopt;
    return rule_.points(report);
  }

  CodeScorer scorer_;
  Rule rule_;
};

class CodeFormat : public Reward {
 public:
  explicit CodeFormat(std::string language) : language_(std::move(language)) {}
  std::vector<Points> operator()(std::span<const RewardInput> group) const override {
    std::vector<Points> out;
    for (const RewardInput& input : group) out.push_back(has_form(input) ? 1.0 : 0.0);
    return out;
  }

 private:
  bool has_form(const RewardInput& input) const {
    const auto parts = parse_tagged(input.completion);
    if (!parts) return false;
    std::string language = language_;
    if (language.empty() && input.problem && input.problem->extra.is_object())
      language = json_get_or<std::string>(input.problem->extra, "language", "python", input.problem->id);
    return has_closed_block(parts->answer, language.empty() ? "python" : language);
  }
  static bool has_closed_block(const std::string& answer, const std::string& language) {
    const auto* wanted = verify::judge::find_language(language);
    for (size_t at = answer.find("```"); at != std::string::npos;) {
      const size_t line_end = answer.find('\n', at), close = line_end == std::string::npos ? line_end : answer.find("\n```", line_end);
      if (close == std::string::npos) return false;
      const auto* tag = verify::judge::find_language(answer.substr(at + 3, answer.find_last_not_of(" \r", line_end - 1) - at - 2));
      const bool filled = answer.find_first_not_of(" \t\r\n", line_end) < close;
      if (tag && tag == wanted && filled && (at == 0 || answer[at - 1] == '\n')) return true;
      at = answer.find("```", close + 4);
    }
    return false;
  }

  std::string language_;
};

double all_passed(const Report& report) {
  return report.passed() ? 1.0 : 0.0;
}

}  // namespace

std::unique_ptr<Reward> make_code(OptionReader& options) {
  return std::make_unique<ProgramReward>(options, ProgramReward::Rule{.points = [](const Report& r) { return r.fraction(); }});
}

std::unique_ptr<Reward> make_binary_code(OptionReader& options) {
  return std::make_unique<ProgramReward>(options, ProgramReward::Rule{.early_stop = true, .points = all_passed});
}

std::unique_ptr<Reward> make_ioi_code(OptionReader& options) {
  return std::make_unique<ProgramReward>(options, ProgramReward::Rule{.points = [](const Report& r) { return r.subtask_minimum(); }});
}

std::unique_ptr<Reward> make_cf_code(OptionReader& options) {
  const std::string mode = options.one_of("mode", "weighted_sum", {"pass_fail", "partial", "weighted_sum"});
  ProgramReward::Rule rule{.without_program = -1, .early_stop = mode == "pass_fail"};
  rule.points = [mode](const Report& r) {
    if (r.verdict == JudgeVerdict::kCompileError) return -0.1;
    if (mode == "pass_fail") return all_passed(r);
    return mode == "partial" ? r.fraction() : all_passed(r) + 0.1 * r.fraction();
  };
  return std::make_unique<ProgramReward>(options, std::move(rule));
}

std::unique_ptr<Reward> make_code_format(OptionReader& options) {
  const std::string language = options.text("language", "");
  if (!language.empty() && !verify::judge::find_language(language)) {
    std::vector<std::string> names;
    for (const auto& l : verify::judge::languages()) names.push_back(l.name);
    options.one_of("language", "", names);
  }
  return std::make_unique<CodeFormat>(language);
}

}  // namespace r1::tasks
