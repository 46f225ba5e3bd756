#include "r1/plan/failures.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "r1/base/rng.h"

namespace r1::plan {

double seconds_between_failures(double gpus, double gpu_hours, double nodes, double node_hours) {
  const double a_second = (gpu_hours > 0 ? gpus / (gpu_hours * 3600) : 0) + (node_hours > 0 ? nodes / (node_hours * 3600) : 0);
  return a_second > 0 ? 1 / a_second : std::numeric_limits<double>::infinity();
}

namespace {

// When the cluster fails, one time after the other: a Poisson process.
class Failures {
 public:
  Failures(double mean, uint64_t seed) : mean_(mean), seed_(seed) { advance(); }
  double next() const { return next_; }
  void advance() {
    const auto words = philox4x32({uint32_t(count_), uint32_t(count_ >> 32), 0, 0}, {uint32_t(seed_), uint32_t(seed_ >> 32)});
    ++count_;
    const double uniform = (double(words[0]) * 4294967296.0 + double(words[1]) + 0.5) / 18446744073709551616.0;  // in (0, 1)
    next_ += -std::log(uniform) * mean_;
  }

 private:
  double mean_, next_ = 0;
  uint64_t seed_, count_ = 0;
};

}  // namespace

RunOutcome simulate(const FailureModel& model, double wall_seconds, uint64_t seed) {
  Failures failures(model.mean_seconds_between_failures, seed);
  RunOutcome out;
  out.wall_seconds = wall_seconds;
  const double durable_after = std::max(model.durable_seconds, model.stall_seconds);
  double now = 0;
  double trained = 0;        // since the run began, as the training loop counts
  double durable = 0;        // of it, what a checkpoint holds
  double writing = -1;       // what the checkpoint that is being written holds; -1: none is
  double writing_until = 0;  // when it can be resumed from
  double since = 0;          // trained since the last checkpoint began
  double stalled_until = 0;  // when the training that a checkpoint stopped goes on
  bool stalled = false;
  while (now < wall_seconds) {
    double next = stalled ? stalled_until : now + model.interval_seconds - since;
    if (writing >= 0) next = std::min(next, writing_until);
    next = std::min({next, failures.next(), wall_seconds});
    const double passed = next - now;
    (stalled ? out.stall_seconds : trained) += passed;
    if (!stalled) since += passed;
    now = next;
    if (writing >= 0 && now >= writing_until) durable = writing, writing = -1, ++out.checkpoints;
    if (now >= failures.next()) {
      ++out.failures;
      out.lost_seconds += trained - durable;
      trained = durable, writing = -1, since = 0, stalled = false;
      double back = now + model.restart_seconds;
      for (failures.advance(); failures.next() < back && failures.next() < wall_seconds; failures.advance()) {
        ++out.failures;
        back = failures.next() + model.restart_seconds;
      }
      back = std::min(back, wall_seconds);
      out.restart_seconds += back - now;
      now = back;
      continue;
    }
    if (stalled && now >= stalled_until) {
      stalled = false;
    } else if (!stalled && since >= model.interval_seconds * (1 - 1e-12) && writing < 0) {
      writing = trained, writing_until = now + durable_after, since = 0;
      stalled = model.stall_seconds > 0, stalled_until = now + model.stall_seconds;
    } else if (!stalled && since >= model.interval_seconds * (1 - 1e-12)) {
      // The one before is not written yet: the next begins when it is.
      since = model.interval_seconds - (writing_until - now);
    }
  }
  out.trained_seconds = trained;
  return out;
}

double expected_goodput(const FailureModel& m) {
  const double M = m.mean_seconds_between_failures, segment = m.interval_seconds + m.stall_seconds;
  if (std::isinf(M)) return m.interval_seconds / segment;
  return m.interval_seconds / (M * std::exp(m.restart_seconds / M) * std::expm1(segment / M));
}

double young_interval(double stall, double mean) {
  return std::sqrt(2 * stall * mean);
}

double daly_interval(double stall, double mean) {
  if (stall >= 2 * mean) return mean;
  const double ratio = stall / (2 * mean);
  return std::sqrt(2 * stall * mean) * (1 + std::sqrt(ratio) / 3 + ratio / 9) - stall;
}

}  // namespace r1::plan
