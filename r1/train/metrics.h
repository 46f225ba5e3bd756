// Where a run's numbers go: metrics.jsonl (a line a step), TensorBoard event files, and the report's history. Names follow HF and TRL.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "r1/base/json.h"

namespace r1::train {

class MetricsWriter {
 public:
  // Opens run_folder for appending. On resume, lines after `resume_step` are dropped first, so that a resumed run's file equals an
  // uninterrupted one's.
  MetricsWriter(const std::filesystem::path& run_folder, int64_t resume_step = -1);
  ~MetricsWriter();
  // {"step":..,"loss":..,...}; NaN and Inf are written as null (JSON has none) and counted.
  void write(int64_t step, const Json& values);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::train
