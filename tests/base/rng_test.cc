#include "r1/base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace r1 {
namespace {

using Block = std::array<uint32_t, 4>;

// Random123's kat_vectors, philox4x32 10.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t f = 0xffffffff;
  EXPECT_EQ(philox4x32({f, f, f, f}, {f, f}), (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, IsAFunctionOfSeedStreamAndIndex) {
  Rng a(7, 3), b(7, 3);
  for (int i = 0; i < 100; ++i) a.bits();
  b.seek(100);
  EXPECT_EQ(a.bits(), b.bits());
  EXPECT_EQ(a.index(), 101u);
  EXPECT_EQ(random_bits(7, 3, 101), a.bits());
  EXPECT_NE(random_bits(7, 3, 0), random_bits(7, 4, 0));
  EXPECT_NE(random_bits(7, 3, 0), random_bits(8, 3, 0));
  EXPECT_NE(Rng(7).split(0).bits(), Rng(7).split(1).bits());
}

TEST(Rng, Moments) {
  Rng rng(1);
  const int n = 200'000;
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0;
  for (int i = 0; i < n; ++i) {
    const double u = rng.uniform(), z = rng.normal();
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u, squares += u * u, normal_sum += z, normal_squares += z * z;
  }
  EXPECT_NEAR(sum / n, 0.5, 0.003);
  EXPECT_NEAR(squares / n, 1.0 / 3, 0.003);
  EXPECT_NEAR(normal_sum / n, 0, 0.01);
  EXPECT_NEAR(normal_squares / n, 1, 0.015);
}

// Pearson's chi-squared at 6 degrees of freedom: 27.9 is p = 1e-4; the seed is fixed.
TEST(Rng, BelowIsEven) {
  Rng rng(5);
  std::vector<double> counts(7);
  const int n = 70'000;
  for (int i = 0; i < n; ++i) counts[rng.below(7)] += 1;
  double chi = 0;
  for (const double c : counts) chi += (c - n / 7.0) * (c - n / 7.0) / (n / 7.0);
  EXPECT_LT(chi, 27.9);
  EXPECT_EQ(rng.below(1), 0u);
  EXPECT_EQ(rng.between(-3, -3), -3);
}

TEST(Rng, ShuffleIsAPermutation) {
  std::vector<int> v(100), sorted;
  std::iota(v.begin(), v.end(), 0);
  sorted = v;
  Rng(3).shuffle(v);
  EXPECT_NE(v, sorted);
  std::sort(v.begin(), v.end());
  EXPECT_EQ(v, sorted);
}

}  // namespace
}  // namespace r1
