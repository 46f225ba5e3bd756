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

// One sample of 0 or 1 a problem: Wilson's own interval. Several: as wide as the spread between problems says, not as narrow as if every
// sample were a problem of its own.
TEST(Interval, ProblemsAreTheClusters) {
  EXPECT_EQ(clustered_interval({1, 0, 1, 1}, 4), wilson_interval(3, 4));
  std::vector<double> same(50, 0), mixed(50, 0.5), spread;
  for (int i = 0; i < 25; ++i) same[size_t(i)] = 1;  // 16 samples a problem that all agree are no more than one
  const auto [lo, hi] = clustered_interval(same, 50 * 16);
  EXPECT_NEAR(lo, wilson_interval(25, 50).first, 1e-12);
  EXPECT_NEAR(hi, wilson_interval(25, 50).second, 1e-12);
  const auto narrow = clustered_interval(mixed, 50 * 16);  // no spread: never narrower than as many independent samples
  EXPECT_EQ(narrow, wilson_interval(400, 800));
  EXPECT_EQ(clustered_interval({1, 1, 1}, 48), wilson_interval(3, 3));
  EXPECT_EQ(clustered_interval({}, 0), (std::pair{0.0, 1.0}));
  // Means 0.25 and 0.75: variance of the mean 1/16/n, so n_eff = 4 n.
  for (int i = 0; i < 40; ++i) spread.push_back(i % 2 ? 0.25 : 0.75);
  EXPECT_NEAR(clustered_interval(spread, 40 * 8).first, wilson_interval(80, 160).first, 1e-9);
}

TEST(Paired, McNemarKnownValues) {
  EXPECT_EQ(mcnemar_exact(0, 0), 1);
  EXPECT_NEAR(mcnemar_exact(0, 5), 2.0 / 32, 1e-12);
  EXPECT_NEAR(mcnemar_exact(5, 0), 2.0 / 32, 1e-12);
  EXPECT_NEAR(mcnemar_exact(1, 9), 2.0 * (1 + 10) / 1024, 1e-12);
  EXPECT_EQ(mcnemar_exact(7, 7), 1);
  EXPECT_LT(mcnemar_exact(400, 600), 1e-9);
  EXPECT_GT(mcnemar_exact(400, 600), 0);
}

TEST(Paired, BootstrapAgreesWithTheTextbook) {
  std::vector<double> d;
  for (int i = 0; i < 400; ++i) d.push_back(i % 4 == 0 ? 1 : i % 8 == 1 ? -1 : 0);  // mean 0.125, variance 0.375 - 0.125^2
  const PairedBootstrap b = paired_bootstrap(d);
  EXPECT_DOUBLE_EQ(b.mean, 0.125);
  const double half = 1.96 * std::sqrt((0.375 - 0.125 * 0.125) / 400);
  EXPECT_NEAR(b.low, 0.125 - half, 0.008);
  EXPECT_NEAR(b.high, 0.125 + half, 0.008);
  EXPECT_LT(b.p, 0.01);
  EXPECT_EQ(paired_bootstrap(d).low, b.low) << "the seed is fixed";
  EXPECT_GT(paired_bootstrap({0.1, -0.1, 0.2, -0.2}).p, 0.5);
  EXPECT_EQ(paired_bootstrap({0, 0, 0}).p, 1);
  EXPECT_EQ(paired_bootstrap({}).p, 1);
}

TEST(Numbers, ThreeDigits) {
  const std::pair<double, const char*> cases[] = {{0, "0.000"},      {1, "1.00"},         {0.34549, "0.345"},
                                                  {0.99951, "1.00"}, {-0.0125, "-0.013"}, {9.996, "10.0"},
                                                  {12.34, "12.3"},   {99.96, "100"},      {1234.6, "1235"}};
  for (const auto& [x, text] : cases) EXPECT_EQ(three_digits(x), text);
}

TEST(Majority, FirstSeenWinsTiesAndEmptyDoesNotVote) {
  EXPECT_EQ(majority({"", "", "", "7", "8", "8", "7"}), "7");
  EXPECT_EQ(majority({"1", "2", "2"}), "2");
  EXPECT_EQ(majority({"", ""}), "");
}

}  // namespace
}  // namespace r1::eval
