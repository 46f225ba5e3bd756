#include "r1/tasks/exec_reward.h"

#include <cmath>
#include <filesystem>
#include <mutex>
#include <set>

#include "r1/base/error.h"
#include "r1/base/log.h"

namespace r1::tasks {

namespace {

namespace fs = std::filesystem;
using verify::sandbox::End;

Json to_line(const RewardInput& input) {
  const Problem& p = *input.problem;
  return {{"id", p.id},
          {"question", p.question},
          {"prompt", p.prompt},
          {"messages", data::to_json(p.messages)},
          {"gold", p.gold},
          {"task", p.extra},
          {"completion", input.completion},
          {"tokens", input.tokens},
          {"truncated", input.truncated},
          {"verdict", verdict_name(input.score.verdict)},
          {"accuracy", input.score.accuracy},
          {"extracted", input.score.extracted}};
}

const char* failure_of(End end) {
  switch (end) {
    case End::kTimeout:
    case End::kCpuTime:
      return "timeout";
    case End::kMemory:
      return "memory";
    case End::kOutput:
      return "output";
    case End::kFailedToStart:
      return "not_started";
    default:
      return "crash";
  }
}

std::string first_lines(const std::string& text) {
  return text.size() > 600 ? text.substr(0, 600) + " ..." : text;
}

class ExecReward : public Reward {
 public:
  ExecReward(const std::string& command, OptionReader& o, ProgramRunner run) : command_(command), run_(std::move(run)) {
    limits_.wall_seconds = limits_.cpu_seconds = o.number("timeout", 10, 0.01, 86400);
    limits_.memory_bytes = o.integer("memory_mb", 1024, 16, 1 << 20) << 20;
    limits_.output_bytes = o.integer("output_kb", 1024, 1, 1 << 20) << 10;
    limits_.processes = int32_t(o.integer("processes", 64, 1, 4096));
    program_.argv = {"/usr/bin/env"};
    bool found = false;
    for (const auto& word : split_command(command)) {
      std::error_code none;
      const bool file = !found && fs::is_regular_file(word, none) && !is_on_path(word);
      program_.argv.push_back(file ? "/reward/" + fs::path(word).filename().string() : word);
      if (file) program_.mounts.push_back({fs::absolute(word).parent_path(), "/reward", false});
      found |= file;
    }
    if (program_.argv.size() == 1) fail_usage("reward exec: has no command; write exec:<command>, e.g. exec:python3 my_reward.py");
  }

  std::vector<std::optional<double>> operator()(std::span<const RewardInput> group) const override {
    auto program = program_;
    for (const auto& input : group) program.input += dump_json(to_line(input)) + "\n";
    const auto outcome = run_(program, limits_);
    if (outcome.end != End::kExited || outcome.status != 0) {
      failed(outcome.end == End::kExited ? "crash" : failure_of(outcome.end), group.size(),
             str(outcome.end == End::kExited      ? "exit status "
                 : outcome.end == End::kSignalled ? "signal "
                                                  : "status ",
                 outcome.status, outcome.reason.empty() ? "" : ", ", outcome.reason),
             outcome);
      return std::vector<std::optional<double>>(group.size());
    }
    try {
      return parse_exec_output(outcome.out, group.size());
    } catch (const Error& error) {
      failed("malformed", group.size(), error.what(), outcome);
      return std::vector<std::optional<double>>(group.size());
    }
  }

  std::map<std::string, int64_t> take_failures() const override {
    std::lock_guard lock(mutex_);
    return std::exchange(failures_, {});
  }

 private:
  // A bare name that PATH finds is a system program, even if a file of that name lies here.
  static bool is_on_path(const std::string& word) {
    if (word.find('/') != std::string::npos) return word.compare(0, 5, "/usr/") == 0 || word.compare(0, 5, "/bin/") == 0;
    for (const char* folder : {"/usr/local/bin/", "/usr/bin/", "/bin/"})
      if (fs::exists(folder + word)) return true;
    return false;
  }

  void failed(const std::string& kind, size_t completions, const std::string& why, const verify::sandbox::Outcome& outcome) const {
    bool first = false;
    {
      std::lock_guard lock(mutex_);
      failures_[kind] += int64_t(completions);
      first = warned_.insert(kind).second;
    }
    if (first)
      log_warning("reward exec:", command_, ": ", kind, " (", why, "); its rewards count as not given.",
                  outcome.err.empty() ? "" : " It wrote: " + first_lines(outcome.err));
  }

  std::string command_;
  ProgramRunner run_;
  verify::sandbox::Program program_;
  verify::sandbox::Limits limits_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, int64_t> failures_;
  mutable std::set<std::string> warned_;
};

}  // namespace

std::vector<std::string> split_command(const std::string& command) {
  std::vector<std::string> out;
  bool inside = false;  // a word goes on
  char quote = 0;
  for (const char c : command) {
    if (quote ? c == quote : c == '\'' || c == '"') {
      quote = quote ? 0 : c;
      if (!inside) out.emplace_back();
      inside = true;
    } else if (!quote && (c == ' ' || c == '\t' || c == '\n')) {
      inside = false;
    } else {
      if (!inside) out.emplace_back();
      out.back() += c;
      inside = true;
    }
  }
  if (quote) fail_usage("reward exec: a quotation mark ", quote, " is not closed in '", command, "'");
  return out;
}

std::vector<std::optional<double>> parse_exec_output(const std::string& output, size_t count) {
  std::vector<std::optional<double>> out;
  for (size_t begin = 0; begin < output.size();) {
    const size_t end = std::min(output.find('\n', begin), output.size());
    const std::string where = str("line ", out.size() + 1);
    if (out.size() == count) fail("more lines than the ", count, " completions");
    const Json line = parse_json(output.substr(begin, end - begin), where);
    const auto reward = line.is_object() ? line.find("reward") : line.end();
    if (!line.is_object() || reward == line.end()) fail(where, ": expected an object with the key reward");
    if (reward->is_null()) {
      out.push_back(std::nullopt);
    } else {
      if (!reward->is_number() || !std::isfinite(reward->get<double>())) fail(where, ": reward is neither a finite number nor null");
      out.push_back(reward->get<double>());
    }
    begin = end + 1;
  }
  if (out.size() < count) fail(out.size(), " lines for ", count, " completions");
  return out;
}

std::unique_ptr<Reward> make_exec_reward(const std::string& command, OptionReader& options, ProgramRunner run) {
  return std::make_unique<ExecReward>(command, options, std::move(run));
}

}  // namespace r1::tasks
