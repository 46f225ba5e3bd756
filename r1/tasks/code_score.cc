#include "r1/tasks/code_score.h"

#include "r1/base/error.h"
#include "r1/verify/judge/extract.h"
#include "r1/verify/judge/suite_json.h"

namespace r1::tasks {
namespace {

std::string extra_text(const Problem& problem, const char* key, const char* fallback = "") {
  const auto it = problem.extra.find(key);
  return it != problem.extra.end() && it->is_string() ? it->get<std::string>() : fallback;
}

std::string entry_of(const Problem& problem) {
  const auto it = problem.extra.find("suite");
  return it == problem.extra.end() ? "" : json_get_or<std::string>(*it, "entry_point", "", problem.id);
}

// What stands in front of the function `entry` in the prompt.
std::string head_of(const std::string& prompt, const std::string& entry) {
  for (size_t at = 0; at < prompt.size();) {
    const size_t end = std::min(prompt.find('\n', at), prompt.size());
    if (verify::judge::defines(prompt.substr(at, end - at), entry)) return prompt.substr(0, at);
    at = end + 1;
  }
  return "";
}

bool begins_indented(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string::npos && first > 0 && (text[first - 1] == ' ' || text[first - 1] == '\t');
}

}  // namespace

std::optional<std::string> program_of(const Problem& problem, const std::string& completion) {
  const std::string language = extra_text(problem, "language", "python"), prompt = extra_text(problem, "prompt_code");
  std::string entry = entry_of(problem);
  entry = entry.substr(entry.find('.') == std::string::npos ? 0 : entry.size());  // "Class.f": any program
  const auto found = verify::judge::extract_code(completion, language, entry);
  if (prompt.empty()) return found ? std::optional(found->code) : std::nullopt;
  if (found && verify::judge::defines(found->code, entry)) return head_of(prompt, entry) + "\n" + found->code;
  // A body that goes on where the prompt stopped; what is fenced after it is talk.
  if (completion.find("<think>") == std::string::npos && begins_indented(completion))
    return prompt + verify::judge::cut_continuation(completion);
  return found && found->fenced && begins_indented(found->code) ? std::optional(prompt + found->code) : std::nullopt;
}

CodeScorer::CodeScorer(OptionReader& o) {
  check_.test_seconds = o.number("test_seconds", 5, 0.01, 3600);
  check_.deadline = o.number("deadline", 60, 0.1, 36000);
  check_.memory_bytes = o.integer("memory_mb", 512, 16, 1 << 20) << 20;
  verify::judge::JudgeOptions options;
  options.workers = int(o.integer("judge_workers", 0, 0, 4096));
  options.warm = int(o.integer("warm", 0, 0, 4096));
  options.memory_bytes = check_.memory_bytes;
  if (o.describing()) return;
  judge_ = std::make_unique<verify::judge::Judge>(options);
  if (!judge_->unavailable().empty()) fail("programs cannot be judged on this machine: ", judge_->unavailable());
}

bool CodeScorer::has_tests(const Problem& problem) const {
  return problem.extra.is_object() && problem.extra.contains("suite");
}

verify::judge::Report CodeScorer::judge(const Problem& problem, const std::string& program, bool early_stop) const {
  check(has_tests(problem), "[code] problem ", problem.id, " has no tests");
  auto options = check_;
  options.early_stop = early_stop;
  return judge_->check({extra_text(problem, "language", "python"), program},
                       verify::judge::suite_from_json(problem.extra["suite"], problem.id), options);
}

Verdict task_verdict(verify::judge::Verdict verdict) {
  using V = verify::judge::Verdict;
  if (verdict == V::kPass) return Verdict::kRight;
  if (verdict == V::kTimeout) return Verdict::kTimeout;
  return verdict == V::kToolchainMissing || verdict == V::kSandboxMissing ? Verdict::kCrash : Verdict::kWrong;
}

}  // namespace r1::tasks
