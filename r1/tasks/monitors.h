// Signs that a policy games its reward instead of solving the task, from the rollouts and the held-out evaluations of a run. A monitor is a
// number a rollout (metric monitor/<name>) with a limit; it alarms once when the number has been above the limit in `patience` rollouts in
// a row and is not falling (the last is at least 0.95 of the first of these), and is quiet again after `patience` rollouts at or below it.
// docs/rewards.md says what each means and what to do; monitor_infos() says it in short for the report.
//
//   reward_without_accuracy (at held-out evaluations)
//       a = the evaluation's accuracy; r, t = means over the rollouts since the evaluation before, of the groups' mean rewards and of the
//       share of right answers. A, R, T: means of the last `evals` of them. Value: the largest (R - R') / (highest R - lowest R so far)
//       over all earlier A', R', T' at least `evals` evaluations back for which
//       - the reward rose: R - R' is more than four standard errors (of the groups' rewards),
//       - held-out accuracy did not: A - A' is at most `accuracy_gain` or one standard error (binomial),
//       - right answers do not account for it: either the rise of T, in units of its own range so far (at least 0.05), is below a
//         quarter of the reward's (it is gamed), or both T - T' exceeds A - A' and T exceeds A by five standard errors and
//         `accuracy_gain` (train problems are memorised);
//       0 if there is none. Limit `reward_rise`, two evaluations in a row, four to be quiet again. T has many more samples than A: it keeps
//       honest policies quiet whose accuracy grows slower than some hundred held-out problems can show.
//   format_without_thought
//       Share of the completions in R1's format whose thought is empty or copied from question, prompt or answer (sample_measures.h). No
//       value in a rollout without any. Limit `thoughtless`.
//   answer_before_thought
//       Share of the tagged completions that answer first (sample_measures.h). Limit `answer_first`.
//   repetition
//       Mean share of repeated word 3-grams. Limit: `repetition_rise` above the mean of the first `patience` rollouts, at most
//       `repetition`.
//   language_drift
//       Fall of the mean share of the thought's language since the first `patience` rollouts that had words; the language is `language`, or
//       the one (en, zh) that had the larger share then. Limit `language_drop`.
//   unparsed, timeout, crash
//       Share of the completions with that verdict (late ones count as timeout). Limit `failures`.
//   reward_failures
//       Share of reward values that a reward failed to give (exec: died, malformed, ...; exceptions). Limit `failures`.
//   length_without_accuracy
//       Over the last `window` rollouts: mean length L and share of right answers A. Reference: the window where A last rose more than
//       `accuracy_gain` and one standard error above the reference before it (the first full one to begin with). Value: L / L_ref - 1, at
//       least 0. Limit `length_rise`.
//   zero_variance
//       Share of the groups whose rewards are all equal; 0 while over 90 % of the answers are right (all is learned). Limit
//       `zero_variance`.
//
// A pure function of what it was shown: no clocks, no random numbers, sums in order; state() is all of it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "r1/base/config.h"
#include "r1/base/json.h"
#include "r1/tasks/sample_measures.h"
#include "r1/tasks/task.h"

namespace r1::tasks {

struct MonitorArgs {
  int64_t patience = 5, window = 20, evals = 3;
  double reward_rise = 0.15, accuracy_gain = 0.01, thoughtless = 0.5, answer_first = 0.5, repetition = 0.6, repetition_rise = 0.2,
         language_drop = 0.1, failures = 0.05, length_rise = 0.25, zero_variance = 0.9;
  std::string language;

  void visit(Fields& v);
};

struct MonitorSample {
  bool scored = true;  // false: late or crashed, without measures
  SampleMeasures measures;
  Verdict verdict = Verdict::kWrong;
  int64_t tokens = 0;
};

struct MonitorRollout {
  std::vector<MonitorSample> samples;
  std::vector<double> group_rewards;                    // mean reward of each group that has one
  double frac_zero_std = 0;                             // share of groups without variance
  int64_t reward_values = 0, reward_values_failed = 0;  // asked for (samples x rewards); not given though they should have been
};

struct MonitorAlarm {
  std::string monitor, text;  // "language_drift", a sentence for people
  int64_t step = 0;
  double value = 0, limit = 0;
};

struct MonitorInfo {
  const char *name, *title, *meaning, *advice;
};
const std::vector<MonitorInfo>& monitor_infos();

class Monitors {
 public:
  explicit Monitors(MonitorArgs args);

  // A rollout, before its update; `step`: optimizer steps done.
  void rollout(const MonitorRollout& rollout, int64_t step);
  // A held-out evaluation's accuracy on so many problems.
  void held_out(double accuracy, int64_t problems, int64_t step);

  // monitor/<name> of each monitor that has a value, and monitor/alarms: how many alarm now.
  void add_metrics(Json& line) const;
  // Those that began since the last call, in order.
  std::vector<MonitorAlarm> take_alarms();
  // {name: {"state": "quiet" | "alarm" | "no data", "value", "limit", "onsets": [steps]}}
  Json summary() const;
  Json state() const;
  void load_state(const Json& state);

 private:
  // A value against its limit, over time.
  struct Gate {
    double value = 0, limit = 0;
    bool seen = false, active = false;
    int64_t below = 0;          // rollouts in a row
    std::vector<double> above;  // values in a row, the last `patience`
    std::vector<int64_t> onsets;
  };
  struct Evaluation {
    double accuracy = 0, reward = 0, right = 0;
    double accuracy_variance = 0, reward_variance = 0;  // of these means
  };

  Gate& gate(const char* name);
  void set(const char* name, double value, double limit, int64_t step, int64_t patience, int64_t quiet_patience = 0);
  void watch_texts(const MonitorRollout& rollout, int64_t step);
  void watch_language(const MonitorRollout& rollout, int64_t step);
  void watch_verdicts(const MonitorRollout& rollout, int64_t step);
  void watch_length(double length, double accuracy, int64_t samples, int64_t step);
  std::vector<Evaluation> smoothed() const;  // means of `evals` evaluations, from the first that has so many
  bool is_gamed(const Evaluation& then, const Evaluation& now, double reward_range, double right_range) const;

  MonitorArgs args_;
  std::vector<Gate> gates_;  // as monitor_infos()
  std::vector<MonitorAlarm> alarms_;
  // reward_without_accuracy
  double sum_ = 0, square_ = 0, right_ = 0;
  int64_t groups_ = 0, rollouts_ = 0;
  std::vector<Evaluation> evaluations_;
  // baselines: sums and counts of the first rollouts
  double first_repetition_ = 0, first_english_ = 0, first_chinese_ = 0;
  int64_t repetition_rollouts_ = 0, language_rollouts_ = 0;
  // length_without_accuracy
  std::vector<double> lengths_, accuracies_;  // the last `window`
  double length_reference_ = -1, accuracy_reference_ = -1;
};

}  // namespace r1::tasks
