// When each step was logged, from the run's TensorBoard event file: metrics.jsonl has no clock, so that a resumed run's is the uninterrupted
// one's. Only the head of each record is looked at. Formats: report/event_file.h.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "r1/base/files_below.h"

namespace r1::api {

class StepTimes {
 public:
  static constexpr size_t kMaxSteps = 1'000'000;

  // Takes in at most `most` bytes more; begins anew with another file. True if there may be more to read.
  bool refresh(const OpenFile& file, int64_t most);

  // Seconds since 1970, between logged steps in proportion; nothing outside of them.
  std::optional<double> at(double step) const;
  const std::vector<std::pair<double, double>>& steps() const { return steps_; }  // step, time: rising steps

 private:
  void take(double step, double time);

  uint64_t device_ = 0, inode_ = 0;
  int64_t offset_ = 0;
  std::vector<std::pair<double, double>> steps_;
};

}  // namespace r1::api
