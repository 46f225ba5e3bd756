// Where a run's numbers go: metrics.jsonl (a line a step) and a TensorBoard event file, in step. Names follow HF and TRL; in TensorBoard
// they stand under "train/" and "eval/" as HF writes them. A full disk does not stop training: what cannot be written is kept, warned about
// once, and written when there is room again.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "r1/base/json.h"

namespace r1::report {

class MetricsWriter {
 public:
  // Opens run_folder for appending. On resume, lines and events after `resume_step` are dropped first, so that a resumed run's file equals
  // an uninterrupted one's; a torn last line is dropped too. A new run (-1) sets an old metrics.jsonl aside as metrics.jsonl.old (.old2, ..).
  MetricsWriter(const std::filesystem::path& run_folder, int64_t resume_step = -1);
  ~MetricsWriter();
  // {"step":..,"loss":..,...}; NaN and Inf are written as null (JSON has none) and counted.
  void write(int64_t step, const Json& values);
  // A text for TensorBoard's text page: completions, the config.
  void write_text(int64_t step, const std::string& tag, const std::string& text);

  int64_t non_finite() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The lines of a metrics.jsonl, as far as they are whole. `most` > 0: of a longer file about that many, evenly spread, the last one, and all
// that say what happens seldom (evaluations, skipped steps, alarms), so that memory does not grow with the run; `all`: how many there are.
std::vector<Json> read_metrics(const std::filesystem::path& path, int64_t most = 0, int64_t* all = nullptr);
inline constexpr int64_t kMostLines = 20'000;  // for a page

// "loss" -> "train/loss", "eval_accuracy" -> "eval/accuracy"
std::string tensorboard_tag(const std::string& name);

}  // namespace r1::report
