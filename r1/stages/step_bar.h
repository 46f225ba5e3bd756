// A progress bar over steps that may each take long: where nothing is heard of a step for a while, a thread of its own shows what the step is
// at and for how long.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "r1/base/progress.h"

namespace r1::stages {

class StepBar {
 public:
  // `quiet`: seconds without a word before the thread speaks.
  StepBar(std::string title, int64_t total, std::string unit, double quiet = 5);
  ~StepBar();  // finishes the line

  // A step is done.
  void update(int64_t done, const std::string& note = "");
  // What the step under way is at: "micro-batch 3/16". Shown if the step takes more than a second.
  void at(std::string phase);
  void finish(const std::string& note = "");

 private:
  using Clock = std::chrono::steady_clock;
  void watch();
  std::string with_phase() const;

  Progress bar_;
  const std::chrono::duration<double> quiet_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
  int64_t step_ = 0;
  std::string note_, phase_;
  Clock::time_point begun_ = Clock::now();  // of the step under way
  std::thread thread_;
};

}  // namespace r1::stages
