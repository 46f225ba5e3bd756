#include "r1/stages/advantage.h"

#include <gtest/gtest.h>

#include <cmath>

#include "r1/base/error.h"
#include "r1/stages/spread.h"

namespace r1::stages {
namespace {

TEST(Advantage, GroupNormalised) {
  // Group 1: mean 0.25, sample std 0.5. Group 2: no variance.
  const auto a = group_advantages(std::vector<double>{1, 0, 0, 0, 1, 1, 1, 1}, 4);
  EXPECT_NEAR(a.values[0], 0.75 / (0.5 + 1e-4), 1e-6);
  EXPECT_NEAR(a.values[1], -0.25 / (0.5 + 1e-4), 1e-6);
  for (int i = 4; i < 8; ++i) EXPECT_EQ(a.values[i], 0.0f);
  EXPECT_DOUBLE_EQ(a.frac_zero_std, 0.5);
  EXPECT_DOUBLE_EQ(a.mean_std, 0.25);
}

TEST(Advantage, ScalesOfDrGrpoAndBatch) {
  const std::vector<double> rewards{1, 0, 0, 0, 3, 1};
  const auto none = group_advantages(rewards, 2, "none");
  EXPECT_FLOAT_EQ(none.values[4], 1.0f);
  EXPECT_FLOAT_EQ(none.values[0], 0.5f);
  const auto batch = group_advantages(rewards, 2, "batch");
  const double mean = 5.0 / 6, std = std::sqrt((2 * std::pow(1 - mean, 2) + 3 * mean * mean + std::pow(3 - mean, 2)) / 5);
  EXPECT_NEAR(batch.values[4], 1.0 / (std + 1e-4), 1e-6);
}

TEST(Advantage, WhatWasNotScoredTakesNoPart) {
  const double none = std::nan("");
  // As the group {1, 0, 0} with a fourth completion that is neither paid nor punished.
  const auto whole = group_advantages(std::vector<double>{1, 0, 0}, 3), part = group_advantages(std::vector<double>{1, none, 0, 0}, 4);
  EXPECT_EQ(part.values[0], whole.values[0]);
  EXPECT_EQ(part.values[1], 0.0f);
  EXPECT_EQ(part.values[2], whole.values[1]);
  EXPECT_DOUBLE_EQ(part.mean_std, whole.mean_std);
  const auto lost = group_advantages(std::vector<double>{none, none, 1, none, 1, 0}, 2);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(lost.values[i], 0.0f) << "nothing to compare with";
  EXPECT_NEAR(lost.values[4], 0.5 / (std::sqrt(0.5) + 1e-4), 1e-6);
  EXPECT_DOUBLE_EQ(lost.frac_zero_std, 2.0 / 3);
  const auto batch = group_advantages(std::vector<double>{1, none, 3, 0}, 2, "batch");
  const double std = std::sqrt((std::pow(1 - 4.0 / 3, 2) + std::pow(3 - 4.0 / 3, 2) + std::pow(4.0 / 3, 2)) / 2);
  EXPECT_NEAR(batch.values[2], 1.5 / (std + 1e-4), 1e-6);
  for (float v : group_advantages(std::vector<double>{none, none}, 2, "batch").values) EXPECT_EQ(v, 0.0f);
}

TEST(Advantage, EqualRewardsAreEqualWhateverTheirValue) {
  // The mean of eight times 1.1 is 1.0999999999999999 in floating point: a computed deviation of 1e-16 is no variance.
  for (double value : {1.1, 0.95, 0.1, 0.7, -0.35, 1.0, 0.0, 1e-300, 1e300, 1.0 / 3}) {
    for (const char* scale : {"group", "batch", "none"}) {
      for (int n : {2, 3, 7, 8, 64}) {
        const auto a = group_advantages(std::vector<double>(size_t(n), value), n, scale);
        EXPECT_EQ(a.frac_zero_std, 1.0) << value << " " << n;
        EXPECT_EQ(a.mean_std, 0.0) << value << " " << n;
        for (float v : a.values) EXPECT_EQ(v, 0.0f) << value << " " << n;
      }
    }
  }
  // And the smallest difference is one.
  EXPECT_EQ(group_advantages(std::vector<double>{0.7, std::nextafter(0.7, 1)}, 2).frac_zero_std, 0.0);
  EXPECT_EQ(group_advantages(std::vector<double>{0.1, 0.1, 0.2, 0.3}, 2).frac_zero_std, 0.5);
}

TEST(Spread, IsExactWhereItCanBe) {
  const std::vector<double> sixes(48, 6.0), empty;
  EXPECT_EQ(spread(sixes).mean, 6.0) << "not 6.000000000000001";
  EXPECT_EQ(spread(std::vector<double>(10, 1.1)).mean, 1.1);
  EXPECT_EQ(spread(empty).mean, 0);
  EXPECT_EQ(spread(std::vector<double>{5}).std, 0);
  const std::vector<double> x{1, 2, 3, 6};
  const Spread s = spread(x);
  EXPECT_EQ(s.mean, 3);
  EXPECT_DOUBLE_EQ(s.std, std::sqrt(14.0 / 3));
  EXPECT_EQ(s.min, 1);
  EXPECT_EQ(s.max, 6);
  EXPECT_FALSE(s.constant());
  // Whole numbers whose mean is one.
  std::vector<double> mixed;
  for (int i = 0; i < 48; ++i) mixed.push_back(i % 2 ? 5 : 7);
  EXPECT_EQ(spread(mixed).mean, 6.0);
}

TEST(Advantage, RefusesBrokenGroups) {
  EXPECT_THROW(group_advantages(std::vector<double>{1, 2, 3}, 2), Error);
  EXPECT_THROW(group_advantages(std::vector<double>{}, 2), Error);
}

}  // namespace
}  // namespace r1::stages
