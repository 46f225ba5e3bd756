// A run of weeks with failures: how much of the time is training that counts. By events, and by the closed form for failures without memory
// that the simulation is tested against.
#pragma once

#include <cstdint>

namespace r1::plan {

struct FailureModel {
  double mean_seconds_between_failures = 0;  // of the whole cluster
  double interval_seconds = 0;               // training between two checkpoints
  double stall_seconds = 0;                  // that training waits for one
  // From a checkpoint's begin until it can be resumed from; longer than the stall if it is written beside training. A failure before goes
  // back to the checkpoint before.
  double durable_seconds = 0;
  double restart_seconds = 0;  // from a failure until training goes on; a failure meanwhile begins it again
};

// Of the cluster: its GPUs and nodes fail one independently of the other; 0 hours: these never do.
double seconds_between_failures(double gpus, double gpu_hours, double nodes, double node_hours);

struct RunOutcome {
  double wall_seconds = 0, trained_seconds = 0;  // trained: what counted in the end
  double lost_seconds = 0, stall_seconds = 0, restart_seconds = 0;
  int64_t failures = 0, checkpoints = 0;
  double goodput() const { return wall_seconds > 0 ? trained_seconds / wall_seconds : 0; }
};

// `wall_seconds` of it, from its beginning. The same seed gives the same failures, whatever the interval.
RunOutcome simulate(const FailureModel& model, double wall_seconds, uint64_t seed);

// Share of the time that is training which counts, for exponential failures and checkpoints that are durable when the stall ends:
// interval / (M e^(R/M) (e^((interval + C)/M) - 1)) (Daly, Future Generation Computer Systems 22, 2006, eq. 13).
double expected_goodput(const FailureModel& model);

// The best interval: sqrt(2 C M) (Young 1974) and Daly's higher order form of it (2006, eq. 37).
double young_interval(double stall_seconds, double mean_seconds_between_failures);
double daly_interval(double stall_seconds, double mean_seconds_between_failures);

}  // namespace r1::plan
