#include "r1/eval/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "r1/base/error.h"

namespace r1::eval {
namespace {

double choose(int n, int k) {
  return std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1));
}

TEST(PassAtK, EqualsItsDefinition) {
  for (int n = 1; n <= 12; ++n)
    for (int c = 0; c <= n; ++c)
      for (int k = 1; k <= n; ++k) {
        const double expected = n - c < k ? 1.0 : 1.0 - choose(n - c, k) / choose(n, k);
        EXPECT_NEAR(pass_at_k(n, c, k), expected, 1e-9) << n << " " << c << " " << k;
      }
  EXPECT_DOUBLE_EQ(pass_at_k(10, 3, 1), 0.3);
  EXPECT_THROW(pass_at_k(4, 1, 5), Error);
}

TEST(Interval, WilsonKnownValues) {
  // 8 of 10: the textbook interval is 0.490 to 0.943.
  const auto [lo, hi] = wilson_interval(8, 10);
  EXPECT_NEAR(lo, 0.4902, 5e-4);
  EXPECT_NEAR(hi, 0.9433, 5e-4);
  EXPECT_NEAR(wilson_interval(0, 100).second, 0.0370, 5e-4);
  EXPECT_EQ(wilson_interval(0, 100).first, 0.0);
}

TEST(Interval, MeanOfProblems) {
  const auto [lo, hi] = mean_interval({0.0, 1.0, 0.5, 0.5});
  const double half = 1.959963984540054 * std::sqrt(0.5 / 3 / 4);
  EXPECT_NEAR(lo, 0.5 - half, 1e-12);
  EXPECT_NEAR(hi, 0.5 + half, 1e-12);
}

TEST(Majority, FirstSeenWinsTiesAndEmptyDoesNotVote) {
  EXPECT_EQ(majority({"", "", "", "7", "8", "8", "7"}), "7");
  EXPECT_EQ(majority({"1", "2", "2"}), "2");
  EXPECT_EQ(majority({"", ""}), "");
}

}  // namespace
}  // namespace r1::eval
