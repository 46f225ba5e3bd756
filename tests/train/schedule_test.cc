#include "r1/train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace r1::train {
namespace {

TrainerConfig shape(const char* type, double low = 0.1) {
  TrainerConfig config;
  config.lr_scheduler_type = type;
  config.min_lr_ratio = low;
  return config;
}

TEST(Schedule, WarmupRisesAndNeverIsZero) {
  TrainerConfig config = shape("constant");
  config.warmup_steps = 4;
  const double expected[] = {0.2, 0.4, 0.6, 0.8, 1, 1};
  for (int s = 0; s < 6; ++s) EXPECT_DOUBLE_EQ(schedule_factor(config, s, 100), expected[s]);
}

TEST(Schedule, WarmupRatioIsRoundedUpAndYieldsToSteps) {
  TrainerConfig config;
  config.warmup_ratio = 0.03;
  EXPECT_EQ(warmup_of(config, 101), 4);
  config.warmup_steps = 7;
  EXPECT_EQ(warmup_of(config, 101), 7);
}

TEST(Schedule, Shapes) {
  // Values of transformers.get_cosine_with_min_lr / get_linear schedules at the same p.
  EXPECT_DOUBLE_EQ(schedule_factor(shape("cosine"), 0, 100), 1);
  EXPECT_NEAR(schedule_factor(shape("cosine"), 50, 100), 0.55, 1e-12);
  EXPECT_NEAR(schedule_factor(shape("cosine"), 100, 100), 0.1, 1e-12);
  EXPECT_NEAR(schedule_factor(shape("cosine"), 1000, 100), 0.1, 1e-12);
  EXPECT_NEAR(schedule_factor(shape("linear"), 25, 100), 0.1 + 0.9 * 0.75, 1e-12);
  EXPECT_NEAR(schedule_factor(shape("linear", 0), 99, 100), 0.01, 1e-12);
  EXPECT_DOUBLE_EQ(schedule_factor(shape("constant"), 99, 100), 1);
}

TEST(Schedule, WarmupStableDecay) {
  TrainerConfig config = shape("wsd", 0);
  config.wsd_decay_ratio = 0.2;
  config.warmup_steps = 10;
  EXPECT_LT(schedule_factor(config, 9, 100), 1);
  for (int s : {10, 50, 79, 80}) EXPECT_DOUBLE_EQ(schedule_factor(config, s, 100), 1);
  EXPECT_NEAR(schedule_factor(config, 90, 100), 0.5, 1e-12);
  EXPECT_NEAR(schedule_factor(config, 99, 100), 0.05, 1e-12);
}

TEST(Schedule, NeverNegativeNorAboveOne) {
  for (const char* type : {"cosine", "linear", "constant", "wsd"}) {
    for (int64_t total : {1, 2, 7, 1000}) {
      for (int64_t warmup : {0, 1, 5, 2000}) {
        TrainerConfig config = shape(type, 0);
        config.warmup_steps = warmup;
        for (int64_t s = 0; s < total + 3; ++s) {
          const double f = schedule_factor(config, s, total);
          EXPECT_TRUE(f >= 0 && f <= 1) << type << " " << s << "/" << total;
        }
      }
    }
  }
}

}  // namespace
}  // namespace r1::train
