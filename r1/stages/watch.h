// What a person sees of a run besides numbers: the same held-out problem answered before, during and after training, and reward and length
// as small plots.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "r1/data/prompt.h"
#include "r1/engine/engine.h"
#include "r1/report/report.h"
#include "r1/stages/rollout.h"

namespace r1::stages {

// Answers the first test problem greedily at 0, 2, 5, 25 and 100 % of the run.
class Watch {
 public:
  Watch(engine::Engine& engine, const text::Tokenizer& tokenizer, const tasks::Task& task, const data::PromptMaker& prompts,
        const SamplingArgs& sampling);
  // `stop`: asked between two tokens; true gives the look up, to be taken again after a resume.
  void look(int64_t step, int64_t total, const std::function<bool()>& stop = {});
  Json to_json() const;  // {"question","answer","completions":[{"step","tokens","completion","verdict"}]}
  Json state() const;
  void load_state(const Json& state);

 private:
  struct Seen {
    int64_t step = 0, tokens = 0;
    std::string completion, verdict;
  };
  static std::string line_of(const Seen& s);
  engine::Engine& engine_;
  const text::Tokenizer& tokenizer_;
  const tasks::Task& task_;
  const data::PromptMaker& prompts_;
  const SamplingArgs& sampling_;
  tasks::Problem problem_;
  std::vector<Seen> seen_;
};

// A watched problem as the report shows it.
report::ReportSample watched_sample(const Json& watched);

// The reward-hacking monitors as the report shows them, from tasks::Monitors::summary().
std::vector<report::ReportMonitor> report_monitors(const Json& summary);

// Reward, accuracy and length, a value a rollout.
class History {
 public:
  void add(const Json& rollout_line);
  void held_out(int64_t step, double accuracy, double length);
  std::string note() const;  // for the progress bar
  void plot() const;         // on stderr, at the end
  Json results() const;
  Json state() const;
  void load_state(const Json& state);

 private:
  std::vector<double> reward_, accuracy_, length_;
  double held_out_accuracy_ = -1;
};

}  // namespace r1::stages
