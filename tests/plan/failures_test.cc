// Failures and checkpoints against the closed forms: Young's and Daly's intervals, Daly's published examples, goodput for failures without
// memory.
#include "r1/plan/failures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace r1::plan {
namespace {

constexpr double kMinute = 60, kHour = 3600, kDay = 24 * kHour;

struct Mean {
  double goodput = 0, error = 0;
};

Mean mean_goodput(const FailureModel& model, double wall, int runs) {
  double sum = 0, squares = 0;
  for (int run = 0; run < runs; ++run) {
    const double g = simulate(model, wall, uint64_t(1000 + run)).goodput();
    sum += g, squares += g * g;
  }
  const double mean = sum / runs;
  return {mean, std::sqrt(std::max(0.0, squares / runs - mean * mean) / (runs - 1))};
}

// Daly, Future Generation Computer Systems 22 (2006), figures 3 to 5: failures every 24 h, 6 h and 15 min, a dump of 5 min.
TEST(Failures, DalysPublishedIntervals) {
  EXPECT_NEAR(daly_interval(5 * kMinute, 24 * kHour) / kMinute, 117, 0.5);
  EXPECT_NEAR(daly_interval(5 * kMinute, 6 * kHour) / kMinute, 57, 0.5);
  EXPECT_NEAR(daly_interval(5 * kMinute, 15 * kMinute) / kMinute, 9.1, 0.06);
  EXPECT_DOUBLE_EQ(young_interval(5 * kMinute, 24 * kHour), 120 * kMinute);
  EXPECT_DOUBLE_EQ(daly_interval(3 * kHour, kHour), kHour);  // a dump longer than twice the time between failures
}

// Where the stall is short beside the time between failures, both are one.
TEST(Failures, DalyTendsToYoung) {
  double last = 1;
  for (const double stall : {1000.0, 100.0, 10.0, 1.0}) {
    const double apart = std::abs(daly_interval(stall, 10 * kDay) / young_interval(stall, 10 * kDay) - 1);
    EXPECT_LT(apart, last);
    last = apart;
  }
  EXPECT_LT(last, 1e-3);
}

TEST(Failures, GoodputAsTheClosedFormSays) {
  const FailureModel models[] = {
      {.mean_seconds_between_failures = 6 * kHour, .interval_seconds = 57 * kMinute, .stall_seconds = 300, .restart_seconds = 600},
      {.mean_seconds_between_failures = kHour, .interval_seconds = 40 * kMinute, .stall_seconds = 60, .restart_seconds = 1200},
      {.mean_seconds_between_failures = 3 * kHour, .interval_seconds = 10 * kMinute, .stall_seconds = 5, .restart_seconds = 300},
      {.mean_seconds_between_failures = 30 * kMinute, .interval_seconds = 60 * kMinute, .stall_seconds = 120, .restart_seconds = 1800},
  };
  for (const FailureModel& model : models) {
    const Mean simulated = mean_goodput(model, 60 * kDay, 40);
    const double expected = expected_goodput(model);
    EXPECT_GT(expected, 0);
    EXPECT_LT(simulated.error, 0.01);
    EXPECT_NEAR(simulated.goodput, expected, 4 * simulated.error + 1e-3) << model.interval_seconds;
  }
}

// The best interval of the simulation is Daly's, within what its noise lets tell apart; Young's is worse where failures are frequent.
TEST(Failures, TheSimulatedOptimumIsDalys) {
  for (const double mean : {24 * kHour, 6 * kHour, kHour}) {
    const double stall = 300, daly = daly_interval(stall, mean);
    double best = 0, best_goodput = 0, at_daly = 0, error = 0;
    for (double factor = 0.3; factor < 3.3; factor *= 1.1) {
      const FailureModel model{
          .mean_seconds_between_failures = mean, .interval_seconds = daly * factor, .stall_seconds = stall, .restart_seconds = 600};
      const Mean g = mean_goodput(model, 30 * kDay, 24);
      if (g.goodput > best_goodput) best_goodput = g.goodput, best = factor, error = g.error;
    }
    at_daly =
        mean_goodput({.mean_seconds_between_failures = mean, .interval_seconds = daly, .stall_seconds = stall, .restart_seconds = 600},
                     30 * kDay, 24)
            .goodput;
    EXPECT_NEAR(at_daly, best_goodput, 2 * error + 1e-3) << mean;
    EXPECT_GT(best, 0.6) << mean;
    EXPECT_LT(best, 1.7) << mean;
  }
}

// The exact optimum of the closed form, found by golden section, is what Daly's formula gives to a percent while stalls are short.
TEST(Failures, TheClosedFormsOptimumIsDalys) {
  for (const double mean : {48 * kHour, 12 * kHour, 3 * kHour}) {
    FailureModel model{.mean_seconds_between_failures = mean, .stall_seconds = 120, .restart_seconds = 900};
    const auto goodput = [&](double interval) {
      model.interval_seconds = interval;
      return expected_goodput(model);
    };
    double low = 60, high = mean;
    for (int i = 0; i < 200; ++i) {
      const double a = low + (high - low) * 0.381966, b = low + (high - low) * 0.618034;
      (goodput(a) < goodput(b) ? low : high) = goodput(a) < goodput(b) ? a : b;
    }
    EXPECT_NEAR(daly_interval(120, mean) / low, 1, 0.01) << mean;
    EXPECT_GT(goodput(daly_interval(120, mean)), goodput(young_interval(120, mean)) - 1e-9);
  }
}

TEST(Failures, TimeIsAccountedFor) {
  const FailureModel model{.mean_seconds_between_failures = 2 * kHour,
                           .interval_seconds = 1200,
                           .stall_seconds = 30,
                           .durable_seconds = 400,
                           .restart_seconds = 500};
  const RunOutcome r = simulate(model, 20 * kDay, 7);
  EXPECT_GT(r.failures, 100);
  EXPECT_GT(r.checkpoints, 500);
  EXPECT_NEAR(r.trained_seconds + r.lost_seconds + r.stall_seconds + r.restart_seconds, r.wall_seconds, 1e-3);
  // What is written beside training can be lost: less goodput than where it is durable at once.
  FailureModel at_once = model;
  at_once.durable_seconds = 0;
  EXPECT_LT(r.goodput(), simulate(at_once, 20 * kDay, 7).goodput());
  EXPECT_EQ(simulate(model, 20 * kDay, 7).trained_seconds, r.trained_seconds);  // seeded
  EXPECT_NE(simulate(model, 20 * kDay, 8).trained_seconds, r.trained_seconds);
}

TEST(Failures, WithoutAny) {
  const double never = seconds_between_failures(1024, 0, 128, 0);
  EXPECT_TRUE(std::isinf(never));
  const FailureModel model{.mean_seconds_between_failures = never, .interval_seconds = 90, .stall_seconds = 10, .restart_seconds = 60};
  EXPECT_DOUBLE_EQ(expected_goodput(model), 0.9);
  const RunOutcome r = simulate(model, 100000, 1);
  EXPECT_EQ(r.failures, 0);
  EXPECT_NEAR(r.goodput(), 0.9, 1e-9);
}

TEST(Failures, OfAClusterAddUp) {
  // 419 in 54 days of 16,384 GPUs (Llama 3, arXiv 2407.21783, section 3.3.4) are one in 50,700 hours of a GPU.
  const double hours = 16384.0 * 54 * 24 / 419;
  EXPECT_NEAR(hours, 50700, 100);
  EXPECT_NEAR(seconds_between_failures(16384, hours, 0, 0) / kHour, 54 * 24 / 419.0, 1e-9);
  EXPECT_NEAR(seconds_between_failures(8, 1000, 1, 125), 62.5 * kHour, 1e-6);
}

// Longer to write than between two checkpoints: the next waits for the one before, and the run goes on.
TEST(Failures, SlowWritesDelayTheNextCheckpoint) {
  const FailureModel model{.mean_seconds_between_failures = 10 * kHour,
                           .interval_seconds = 60,
                           .stall_seconds = 1,
                           .durable_seconds = 600,
                           .restart_seconds = 60};
  const RunOutcome r = simulate(model, 10 * kDay, 3);
  EXPECT_NEAR(double(r.checkpoints), 10 * kDay / 600, 10 * kDay / 600 * 0.05);
  EXPECT_GT(r.goodput(), 0.9);
}

}  // namespace
}  // namespace r1::plan
