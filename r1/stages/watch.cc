#include "r1/stages/watch.h"

#include <algorithm>
#include <cstdio>

#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/base/terminal.h"
#include "r1/report/plot.h"
#include "r1/tasks/monitors.h"

namespace r1::stages {

namespace {
constexpr double kLooks[] = {0, 0.02, 0.05, 0.25, 1};  // what there is to see is often early
constexpr size_t kSparkWidth = 12;

std::string one_line(std::string text) {
  for (size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 2)) text.replace(at, 1, "\\n");
  return text.size() > 400 ? text.substr(0, 400) + " ..." : text;
}

double last(const std::vector<double>& x) {
  return x.empty() ? 0 : x.back();
}

std::string mark_of(bool right) {
  if (!utf8_locale()) return right ? "right" : "wrong";
  return right ? "✓" : "✗";
}

// A blank and the plot; nothing in a log that is read from a file.
std::string spark(const std::vector<double>& x, double lo, double hi) {
  const size_t n = std::min<size_t>(x.size(), 240);
  if (!log_to_terminal()) return "";
  return " " + sparkline(x.data() + (x.size() - n), n, kSparkWidth, lo, hi);
}

}  // namespace

std::string Watch::line_of(const Seen& s) {
  return str("  step ", s.step, "  ", mark_of(s.verdict == "right"), "  ", one_line(s.completion));
}

Watch::Watch(engine::Engine& engine, const text::Tokenizer& tokenizer, const tasks::Task& task, const data::PromptMaker& prompts,
             const SamplingArgs& sampling)
    : engine_(engine), tokenizer_(tokenizer), task_(task), prompts_(prompts), sampling_(sampling) {
  if (task.size("test") > 0) problem_ = task.problem("test", 0);
}

void Watch::look(int64_t step, int64_t total, const std::function<bool()>& stop) {
  if (problem_.id.empty() || seen_.size() >= std::size(kLooks) || double(step) < kLooks[seen_.size()] * double(total)) return;
  engine::CompletionRequest request;
  request.prompt = prompts_.prompt(problem_.prompt, problem_.messages);
  request.stop = sampling_.stop;
  request.sampling.temperature = 0;
  request.sampling.max_new_tokens = sampling_.max_completion_length;
  request.sampling.stop_ids = prompts_.stop_ids();
  bool stopped = false;
  engine::CompletionOptions options;
  options.on_step = [&](int64_t, int64_t, const engine::EngineStats&) { return !(stopped = stop && stop()); };
  const auto all = engine::complete(engine_, tokenizer_, {request}, options);
  if (stopped) return;
  const auto& completion = all[0][0];
  if (seen_.empty()) log_info("one held-out problem to watch: ", one_line(problem_.question), " (answer ", problem_.gold, ")");
  seen_.push_back(
      {step, int64_t(completion.ids.size()), completion.text, tasks::verdict_name(task_.score(problem_, completion.text).verdict)});
  log_info(line_of(seen_.back()));
  while (seen_.size() < std::size(kLooks) && double(step) >= kLooks[seen_.size()] * double(total) && step < total)
    seen_.push_back(seen_.back());
}

Json Watch::to_json() const {
  return {{"question", problem_.question}, {"answer", problem_.gold}, {"completions", state()}};
}

report::ReportSample watched_sample(const Json& watched) {
  report::ReportSample out{watched.at("question"), watched.at("answer"), {}};
  // What it said anew, and what it says at the end.
  const Json& looks = watched.at("completions");
  for (size_t i = 0; i < looks.size(); ++i) {
    const Json& look = looks[i];
    const bool last = i + 1 == looks.size();
    if (i > 0 && (last ? look.at("step") : look.at("completion")) == (last ? looks[i - 1].at("step") : looks[i - 1].at("completion")))
      continue;
    const int64_t step = look.at("step");
    const double reward = look.at("verdict") == "right" ? 1.0 : 0.0;
    out.completions.push_back(
        {step == 0 ? std::string("before") : str(last ? "after " : "", "step ", step), look.at("completion"), reward, look.at("tokens")});
  }
  return out;
}

std::vector<report::ReportMonitor> report_monitors(const Json& summary) {
  std::vector<report::ReportMonitor> out;
  for (const auto& info : tasks::monitor_infos()) {
    const auto it = summary.find(info.name);
    if (it == summary.end()) continue;
    out.push_back(
        {info.name, info.title, info.meaning, info.advice, it->at("state"), it->at("limit"), it->at("onsets").get<std::vector<int64_t>>()});
  }
  return out;
}

Json Watch::state() const {
  Json out = Json::array();
  for (const auto& s : seen_) out.push_back({{"step", s.step}, {"tokens", s.tokens}, {"completion", s.completion}, {"verdict", s.verdict}});
  return out;
}

void Watch::load_state(const Json& state) {
  seen_.clear();
  for (const auto& s : state) seen_.push_back({s.at("step"), s.at("tokens"), s.at("completion"), s.at("verdict")});
}

void History::add(const Json& line) {
  reward_.push_back(line.value("reward", last(reward_)));  // nothing was scored: as before
  accuracy_.push_back(line.at("accuracy"));
  length_.push_back(line.at("completions/mean_length"));
}

void History::held_out(int64_t, double accuracy, double) {
  held_out_accuracy_ = accuracy;
}

std::string History::note() const {
  if (reward_.empty()) return "";
  char text[160];
  std::snprintf(text, sizeof text, "reward %.3f%s  length %.1f%s", last(reward_), spark(reward_, 0, 0).c_str(), last(length_),
                spark(length_, 0, 0).c_str());
  return text;
}

void History::plot() const {
  if (reward_.size() < 2 || !log_to_terminal()) return;  // a log that is read from a file has the numbers, and the report the plots
  constexpr int kAxis = 10;                              // columns of a plot's labels, about
  const int columns = int(terminal_columns(2));
  std::vector<double> rollouts;
  for (size_t i = 0; i < reward_.size(); ++i) rollouts.push_back(double(i));
  const auto draw = [&](const char* title, const std::vector<double>& y) {
    report::PlotOptions options;
    options.width = std::clamp(columns - kAxis, 16, 46);
    options.title = title;
    options.x_label = "rollout";
    options.ascii = !utf8_locale();
    return report::plot(rollouts, y, options);
  };
  const std::string reward = draw("reward", reward_), length = draw("completion length (tokens)", length_);
  const bool wide = columns >= 2 * (46 + kAxis) + 3;
  log_info("\n", wide ? report::side_by_side(reward, length) : str(reward, "\n\n", length));
}

Json History::results() const {
  Json out;
  out["reward"] = last(reward_);
  out["accuracy"] = last(accuracy_);
  out["completions/mean_length"] = last(length_);
  if (held_out_accuracy_ >= 0) out["eval/accuracy"] = held_out_accuracy_;
  return out;
}

Json History::state() const {
  return {{"reward", reward_}, {"accuracy", accuracy_}, {"length", length_}, {"held_out", held_out_accuracy_}};
}

void History::load_state(const Json& state) {
  reward_ = state.at("reward").get<std::vector<double>>();
  accuracy_ = state.at("accuracy").get<std::vector<double>>();
  length_ = state.at("length").get<std::vector<double>>();
  held_out_accuracy_ = state.at("held_out");
}

}  // namespace r1::stages
