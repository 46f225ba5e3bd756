#include "r1/tasks/monitors.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "r1/base/error.h"

namespace r1::tasks {

namespace {

constexpr double kMostRight = 0.9;                                           // beyond it groups without variance are a good sign
constexpr double kRewardErrors = 4, kAccuracyErrors = 1, kMemoryErrors = 5;  // standard errors: see monitors.h
constexpr double kLeastRange = 0.05, kExplained = 0.25;
constexpr int64_t kEvaluations = 2, kQuietEvaluations = 4;  // in a row
constexpr double kFalling = 0.95;

std::string number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", x);
  return text;
}

// Mean of what `get` gives for the samples that have it.
template <class Get>
std::optional<double> mean_of(const std::vector<MonitorSample>& samples, Get get) {
  double sum = 0, n = 0;
  for (const auto& s : samples) {
    const std::optional<double> x = get(s);
    if (x) sum += *x, n += 1;
  }
  return n > 0 ? std::optional<double>(sum / n) : std::nullopt;
}

double mean(const std::vector<double>& x) {
  double sum = 0;
  for (double v : x) sum += v;
  return sum / double(x.size());
}

void keep_last(std::vector<double>& x, int64_t n) {
  if (int64_t(x.size()) > n) x.erase(x.begin(), x.end() - n);
}

}  // namespace

const std::vector<MonitorInfo>& monitor_infos() {
  static const std::vector<MonitorInfo> kInfos = {
      {"reward_without_accuracy", "Reward up, held-out accuracy not",
       "rise of the training reward while held-out accuracy did not rise, as a share of the reward's range",
       "read completions with high reward; take out or weigh down rewards other than accuracy; check the verifier; if accuracy itself is "
       "what "
       "rose, the train problems are being memorised"},
      {"format_without_thought", "Right format, no thought", "share of well-formed completions whose thought is empty or copied",
       "reward format only when the answer is right (format_if_right), or not at all; begin from a model that sometimes thinks"},
      {"answer_before_thought", "Answers before it thinks", "share of tagged completions that give the answer before the thought",
       "use the strict format reward; look whether the examples of the SFT stage do so"},
      {"repetition", "Repetition", "mean share of repeated word 3-grams in a completion",
       "lower the learning rate or raise beta; add repetition_penalty; check that sampling stops at the end token"},
      {"language_drift", "Language drift", "fall of the share of words in the thought's first language since the run began",
       "add language_consistency; raise beta"},
      {"unparsed", "No answer found", "share of completions in which no answer could be found",
       "read some: a format that the prompt does not ask for, a stop string too early, or max_completion_length too short"},
      {"timeout", "Checks timed out", "share of completions whose check took longer than its deadline",
       "read some: answers that bomb the verifier; else raise reward_deadline or reward_workers"},
      {"crash", "Checks crashed", "share of completions whose check failed",
       "the first failure's message is in the log; this is a fault of the verifier or the task"},
      {"reward_failures", "Rewards failed", "share of reward values that a reward failed to give",
       "the first failure of each kind is in the log; run the reward's program by hand on completions.jsonl"},
      {"length_without_accuracy", "Longer, not better", "growth of the mean length since accuracy was last better",
       "read the longest completions; add soft_overlong_punishment or length; use loss_type dr_grpo or dapo"},
      {"zero_variance", "Groups without variance", "share of groups whose rewards are all equal: they teach nothing",
       "take easier or harder problems, more generations, a higher temperature"},
  };
  return kInfos;
}

Monitors::Monitors(MonitorArgs args) : args_(std::move(args)), gates_(monitor_infos().size()) {}

Monitors::Gate& Monitors::gate(const char* name) {
  for (size_t i = 0; i < gates_.size(); ++i)
    if (std::string(monitor_infos()[i].name) == name) return gates_[i];
  fail("[monitors] no monitor ", name);
}

void Monitors::set(const char* name, double value, double limit, int64_t step, int64_t patience, int64_t quiet_patience) {
  Gate& g = gate(name);
  g.value = value;
  g.limit = limit;
  g.seen = true;
  g.below = value > limit ? 0 : g.below + 1;
  if (g.below == 0)
    g.above.push_back(value);
  else
    g.above.clear();
  keep_last(g.above, patience);
  if (g.active && g.below >= (quiet_patience > 0 ? quiet_patience : patience)) g.active = false;
  if (g.active || int64_t(g.above.size()) < patience || value < kFalling * g.above.front()) return;
  g.active = true;
  g.onsets.push_back(step);
  const MonitorInfo& info = monitor_infos()[size_t(&g - gates_.data())];
  alarms_.push_back({name,
                     str(info.title, ": ", info.meaning, " is ", number(value), " (limit ", number(limit), "). What to do: ", info.advice),
                     step, value, limit});
}

void Monitors::rollout(const MonitorRollout& r, int64_t step) {
  if (r.samples.empty()) return;
  for (double reward : r.group_rewards) sum_ += reward, square_ += reward * reward, ++groups_;
  watch_texts(r, step);
  watch_language(r, step);
  watch_verdicts(r, step);
  const double length = *mean_of(r.samples, [](const MonitorSample& s) { return std::optional<double>(double(s.tokens)); });
  const double right = *mean_of(r.samples, [](const MonitorSample& s) { return std::optional<double>(s.verdict == Verdict::kRight); });
  right_ += right;
  ++rollouts_;
  watch_length(length, right, int64_t(r.samples.size()), step);
  if (right <= kMostRight) set("zero_variance", r.frac_zero_std, args_.zero_variance, step, args_.patience);
  if (right > kMostRight && gate("zero_variance").seen) set("zero_variance", 0, args_.zero_variance, step, args_.patience);
}

void Monitors::watch_texts(const MonitorRollout& r, int64_t step) {
  using Value = std::optional<double>;
  const auto thoughtless = mean_of(r.samples, [](const MonitorSample& s) {
    return s.measures.formatted ? Value(s.measures.empty_thought || s.measures.copied_thought) : std::nullopt;
  });
  if (thoughtless) set("format_without_thought", *thoughtless, args_.thoughtless, step, args_.patience);
  const auto first =
      mean_of(r.samples, [](const MonitorSample& s) { return s.measures.tagged ? Value(s.measures.answer_first) : std::nullopt; });
  if (first) set("answer_before_thought", *first, args_.answer_first, step, args_.patience);

  const auto repetition = mean_of(r.samples, [](const MonitorSample& s) { return s.scored ? Value(s.measures.repetition) : std::nullopt; });
  if (!repetition) return;
  if (repetition_rollouts_ < args_.patience) first_repetition_ += *repetition, ++repetition_rollouts_;
  const double base = first_repetition_ / double(repetition_rollouts_);
  set("repetition", *repetition, std::min(args_.repetition, base + args_.repetition_rise), step, args_.patience);
}

void Monitors::watch_language(const MonitorRollout& r, int64_t step) {
  const auto english = mean_of(r.samples, [](const MonitorSample& s) { return s.measures.english; });
  const auto chinese = mean_of(r.samples, [](const MonitorSample& s) { return s.measures.chinese; });
  if (!english || !chinese) return;  // no words at all
  if (language_rollouts_ < args_.patience) first_english_ += *english, first_chinese_ += *chinese, ++language_rollouts_;
  const bool zh = args_.language.empty() ? first_chinese_ > first_english_ : args_.language == "zh";
  const double base = (zh ? first_chinese_ : first_english_) / double(language_rollouts_);
  set("language_drift", base - (zh ? *chinese : *english), args_.language_drop, step, args_.patience);
}

void Monitors::watch_verdicts(const MonitorRollout& r, int64_t step) {
  for (const auto& [name, verdict] :
       {std::pair{"unparsed", Verdict::kUnparsed}, {"timeout", Verdict::kTimeout}, {"crash", Verdict::kCrash}}) {
    const auto share = mean_of(r.samples, [v = verdict](const MonitorSample& s) { return std::optional<double>(s.verdict == v); });
    set(name, *share, args_.failures, step, args_.patience);
  }
  if (r.reward_values > 0)
    set("reward_failures", double(r.reward_values_failed) / double(r.reward_values), args_.failures, step, args_.patience);
}

void Monitors::watch_length(double length, double accuracy, int64_t samples, int64_t step) {
  lengths_.push_back(length);
  accuracies_.push_back(accuracy);
  keep_last(lengths_, args_.window);
  keep_last(accuracies_, args_.window);
  if (int64_t(lengths_.size()) < args_.window) return;
  const double l = mean(lengths_), a = mean(accuracies_);
  const double error = std::sqrt(2 * a * (1 - a) / double(samples * args_.window));  // of the difference of two windows
  if (length_reference_ < 0 || a > accuracy_reference_ + args_.accuracy_gain + error) length_reference_ = l, accuracy_reference_ = a;
  const double growth = length_reference_ > 0 ? std::max(0.0, l / length_reference_ - 1) : 0.0;
  set("length_without_accuracy", growth, args_.length_rise, step, args_.patience);
}

std::vector<Monitors::Evaluation> Monitors::smoothed() const {
  std::vector<Evaluation> out;
  const double n = double(args_.evals);
  for (size_t k = size_t(args_.evals); k <= evaluations_.size(); ++k) {
    Evaluation& mean = out.emplace_back();
    for (size_t i = k - size_t(args_.evals); i < k; ++i) {
      const Evaluation& e = evaluations_[i];
      mean.accuracy += e.accuracy / n;
      mean.reward += e.reward / n;
      mean.right += e.right / n;
      mean.accuracy_variance += e.accuracy_variance / (n * n);
      mean.reward_variance += e.reward_variance / (n * n);
    }
  }
  return out;
}

bool Monitors::is_gamed(const Evaluation& then, const Evaluation& now, double reward_range, double right_range) const {
  const double reward = now.reward - then.reward, accuracy = now.accuracy - then.accuracy, right = now.right - then.right;
  const double accuracy_error = std::sqrt(now.accuracy_variance + then.accuracy_variance);
  if (reward <= kRewardErrors * std::sqrt(now.reward_variance + then.reward_variance)) return false;
  if (accuracy > std::max(args_.accuracy_gain, kAccuracyErrors * accuracy_error)) return false;
  const bool gamed = right / right_range < kExplained * reward / reward_range;
  // Sampled answers are seldom better than held-out greedy ones: a policy that only becomes surer of what it knows catches up with them.
  const double margin = kMemoryErrors * accuracy_error + args_.accuracy_gain;
  const bool memorised = right - accuracy > margin && now.right - now.accuracy > margin;
  return gamed || memorised;
}

void Monitors::held_out(double accuracy, int64_t problems, int64_t step) {
  if (groups_ == 0 || problems < 1) return;  // no rollout since the evaluation before
  const double n = double(groups_), r = sum_ / n, m = double(problems);
  const double reward_variance = n > 1 ? std::max(0.0, (square_ - n * r * r) / (n - 1)) / n : 0.0;
  evaluations_.push_back({accuracy, r, right_ / double(rollouts_), (accuracy * (1 - accuracy) + 0.5 / m) / m, reward_variance});
  sum_ = square_ = right_ = 0;
  groups_ = rollouts_ = 0;
  const auto all = smoothed();
  if (all.empty()) return;
  const auto range = [&](double Evaluation::*what) {
    const auto [low, high] = std::minmax_element(all.begin(), all.end(), [&](const auto& a, const auto& b) { return a.*what < b.*what; });
    return *high.*what - *low.*what;
  };
  const double rewards = range(&Evaluation::reward), rights = std::max(kLeastRange, range(&Evaluation::right));
  double worst = 0;
  for (size_t k = 0; rewards > 0 && k + size_t(args_.evals) < all.size(); ++k)
    if (is_gamed(all[k], all.back(), rewards, rights)) worst = std::max(worst, (all.back().reward - all[k].reward) / rewards);
  set("reward_without_accuracy", worst, args_.reward_rise, step, kEvaluations, kQuietEvaluations);
}

void Monitors::add_metrics(Json& line) const {
  int64_t active = 0;
  for (size_t i = 0; i < gates_.size(); ++i) {
    if (gates_[i].seen) line[str("monitor/", monitor_infos()[i].name)] = gates_[i].value;
    active += gates_[i].active;
  }
  line["monitor/alarms"] = active;
}

std::vector<MonitorAlarm> Monitors::take_alarms() {
  return std::exchange(alarms_, {});
}

Json Monitors::summary() const {
  Json out = Json::object();
  for (size_t i = 0; i < gates_.size(); ++i) {
    const Gate& g = gates_[i];
    out[monitor_infos()[i].name] = {{"state", !g.seen    ? "no data"
                                              : g.active ? "alarm"
                                                         : "quiet"},
                                    {"value", g.value},
                                    {"limit", g.limit},
                                    {"onsets", g.onsets}};
  }
  return out;
}

Json Monitors::state() const {
  Json gates = Json::object(), evaluations = Json::array(), alarms = Json::array();
  for (size_t i = 0; i < gates_.size(); ++i) {
    const Gate& g = gates_[i];
    gates[monitor_infos()[i].name] = {g.value, g.limit, g.seen, g.active, g.below, g.above, g.onsets};
  }
  for (const auto& e : evaluations_) evaluations.push_back({e.accuracy, e.reward, e.right, e.accuracy_variance, e.reward_variance});
  for (const auto& a : alarms_) alarms.push_back({a.monitor, a.text, a.step, a.value, a.limit});
  return {{"gates", gates},
          {"alarms", alarms},
          {"sums", {sum_, square_, right_, groups_, rollouts_}},
          {"evaluations", evaluations},
          {"first", {first_repetition_, repetition_rollouts_, first_english_, first_chinese_, language_rollouts_}},
          {"lengths", lengths_},
          {"accuracies", accuracies_},
          {"reference", {length_reference_, accuracy_reference_}}};
}

void Monitors::load_state(const Json& s) {
  for (size_t i = 0; i < gates_.size(); ++i) {
    const auto it = s.at("gates").find(monitor_infos()[i].name);
    if (it == s.at("gates").end()) continue;  // a monitor that the checkpoint does not know yet
    const Json& g = *it;
    gates_[i] = {g.at(0), g.at(1), g.at(2), g.at(3), g.at(4), g.at(5).get<std::vector<double>>(), g.at(6).get<std::vector<int64_t>>()};
  }
  alarms_.clear();
  for (const auto& a : s.at("alarms")) alarms_.push_back({a.at(0), a.at(1), a.at(2), a.at(3), a.at(4)});
  const Json& sums = s.at("sums");
  sum_ = sums.at(0);
  square_ = sums.at(1);
  right_ = sums.at(2);
  groups_ = sums.at(3);
  rollouts_ = sums.at(4);
  evaluations_.clear();
  for (const auto& e : s.at("evaluations")) evaluations_.push_back({e.at(0), e.at(1), e.at(2), e.at(3), e.at(4)});
  const Json& first = s.at("first");
  first_repetition_ = first.at(0);
  repetition_rollouts_ = first.at(1);
  first_english_ = first.at(2);
  first_chinese_ = first.at(3);
  language_rollouts_ = first.at(4);
  lengths_ = s.at("lengths").get<std::vector<double>>();
  accuracies_ = s.at("accuracies").get<std::vector<double>>();
  length_reference_ = s.at("reference").at(0);
  accuracy_reference_ = s.at("reference").at(1);
}

void MonitorArgs::visit(Fields& v) {
  v("patience", patience, "rollouts in a row beyond its limit that make a monitor alarm", Range{1, 1e6});
  v("window", window, "rollouts whose mean length and accuracy are compared", Range{1, 1e6});
  v("evals", evals, "held-out evaluations averaged by reward_without_accuracy", Range{1, 1e6});
  v("reward_rise", reward_rise, "limit of reward_without_accuracy, as a share of the reward's range in this run", Range{0, 1});
  v("accuracy_gain", accuracy_gain, "what counts as better accuracy", Range{0, 1});
  v("thoughtless", thoughtless, "limit of format_without_thought", Range{0, 1});
  v("answer_first", answer_first, "limit of answer_before_thought", Range{0, 1});
  v("repetition", repetition, "highest limit of repetition", Range{0, 1});
  v("repetition_rise", repetition_rise, "limit of repetition above the run's beginning", Range{0, 1});
  v("language", language, "en or zh; empty: the language of the run's beginning", OneOf{"", "en", "zh"});
  v("language_drop", language_drop, "limit of language_drift", Range{0, 1});
  v("failures", failures, "limit of unparsed, timeout, crash and reward_failures", Range{0, 1});
  v("length_rise", length_rise, "limit of length_without_accuracy", Range{0, 1e6});
  v("zero_variance", zero_variance, "limit of zero_variance", Range{0, 1});
}

}  // namespace r1::tasks
