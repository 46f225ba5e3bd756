// Waiting for other processes: Ctrl-C and SIGTERM end it, and after some seconds it is said what it is for.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>

#include "r1/base/interrupt.h"
#include "r1/base/log.h"

namespace r1::dist {

class Waiting {
 public:
  explicit Waiting(double most) : most_(most) {}

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }
  double left() const { return std::max(0.0, most_ - seconds()); }
  // To be asked often. Throws kInterrupted.
  void look(const std::function<std::string()>& for_what) {
    throw_if_interrupted();
    if (said_ || seconds() < kSayAfter) return;
    said_ = true;
    log_warning("parallel: waits for ", for_what(), ", up to ", most_, " s");
  }

  static constexpr double kSlice = 0.2;  // seconds between looks

 private:
  static constexpr double kSayAfter = 5;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  double most_;
  bool said_ = false;
};

}  // namespace r1::dist
