#include "r1/report/plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "r1/base/rng.h"

namespace r1::report {
namespace {

TEST(Plot, TicksAreRoundAndCover) {
  EXPECT_EQ(ticks(0, 1, 5).size(), 6u);
  for (auto [lo, hi] : {std::pair{0.03, 0.97}, {-3.0, 17.0}, {1e-9, 2e-9}, {5.0, 5.0}, {0.0, 0.0}, {123456.0, 7654321.0}}) {
    const auto t = ticks(lo, hi, 5);
    EXPECT_LE(t.front(), lo);
    EXPECT_GE(t.back(), hi - 1e-12 * std::abs(hi));
    EXPECT_LE(t.size(), 9u);
  }
}

void expect_sound(double lo, double hi, int count) {
  const auto t = ticks(lo, hi, count);
  ASSERT_GE(t.size(), 2u) << lo << " " << hi;
  ASSERT_LE(t.size(), size_t(std::max(1, count)) * 3 + 8) << lo << " " << hi;
  for (double v : t) ASSERT_TRUE(std::isfinite(v)) << lo << " " << hi;
  for (size_t i = 1; i < t.size(); ++i) ASSERT_GT(t[i], t[i - 1]) << lo << " " << hi;
}

TEST(Plot, TicksOfAConstantSeriesWithNoiseInItsLastBit) {
  const double one_more = std::nextafter(6.000000000000001, 7);
  const auto t = ticks(6.000000000000001, one_more, 8);
  EXPECT_LT(t.front(), 6);
  EXPECT_GT(t.back(), 6.1);
  EXPECT_LE(t.size(), 12u);
  EXPECT_EQ(ticks(5, 5, 4), ticks(5, std::nextafter(5, 6), 4));
  EXPECT_EQ(ticks(-5, -5, 4), ticks(std::nextafter(-5, -6), -5, 4));
}

TEST(Plot, TicksAreFiniteAndFewForAnyRange) {
  Rng rng(11);
  const auto any = [&]() -> double {
    switch (rng.below(8)) {
      case 0:
        return 0.0;
      case 1:
        return rng.normal();
      case 2:
        return std::ldexp(rng.normal(), int(rng.below(2040)) - 1020);
      case 3:
        return rng.below(2) ? 1.7e308 : -1.7e308;
      case 4:
        return rng.below(2) ? 5e-324 : -5e-324;
      case 5:
        return rng.below(2) ? HUGE_VAL : -HUGE_VAL;
      case 6:
        return std::nan("");
      default:
        return double(int64_t(rng.below(1u << 20)));
    }
  };
  for (int i = 0; i < 20000; ++i) {
    const double a = any(), b = any();
    const int count = int(rng.below(12));
    expect_sound(a, b, count);
    expect_sound(a, std::nextafter(a, INFINITY), count);
    expect_sound(a, a * (1 + 1e-12), count);
    if (HasFatalFailure()) return;
  }
}

TEST(Plot, AnySeriesIsDrawn) {
  for (const std::vector<double>& y : {std::vector<double>{6.000000000000001, 6.000000000000002},
                                       {1e308, -1e308},
                                       {INFINITY, 1},
                                       {5e-324, 0},
                                       {1e16, 1e16 + 2},
                                       {-1e-300, 1e-300}}) {
    std::istringstream lines(plot({0, 1}, y, {.width = 20, .height = 5}));
    size_t count = 0;
    for (std::string line; std::getline(lines, line); ++count) EXPECT_LE(display_width(line), 60) << line;
    EXPECT_EQ(count, 7u);
  }
}

TEST(Plot, Labels) {
  EXPECT_EQ(tick_label(0.5, 0.25), "0.5");
  EXPECT_EQ(tick_label(0.25, 0.05), "0.25");
  EXPECT_EQ(tick_label(12000, 2000), "12k");
  EXPECT_EQ(tick_label(3.4e6, 1e6), "3.4M");
  EXPECT_EQ(tick_label(0, 0.1), "0.0");
  EXPECT_EQ(tick_label(3e-5, 1e-5), "3e-05");
}

TEST(Plot, ALineRises) {
  // ASCII, so that the shape can be written down: from the bottom left to the top right.
  const std::string text = plot({0, 1, 2, 3}, {0, 1, 2, 3}, {.width = 8, .height = 4, .lo = 0, .hi = 3, .title = "up", .ascii = true});
  std::istringstream lines(text);
  std::vector<std::string> rows;
  for (std::string line; std::getline(lines, line);) rows.push_back(line);
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_EQ(rows[1].back(), '*');
  EXPECT_EQ(rows[1].find('*'), rows[1].size() - 2);
  EXPECT_LT(rows[4].find('*'), rows[3].find('*'));
  EXPECT_LT(rows[3].find('*'), rows[2].find('*'));
  EXPECT_NE(rows[5].find("step"), std::string::npos);
}

TEST(Plot, OddInputs) {
  EXPECT_NE(plot({}, {}, {.title = "t"}).find("no data"), std::string::npos);
  EXPECT_NE(plot({1}, {std::nan("")}, {}).find("no data"), std::string::npos);
  EXPECT_FALSE(plot({1}, {5}, {}).empty());
  EXPECT_FALSE(plot({1, 2, 3}, {1, std::nan(""), INFINITY}, {}).empty());
  EXPECT_FALSE(plot({1, 1, 1}, {1, 2, 1}, {}).empty());
}

TEST(Plot, SideBySideKeepsColumns) {
  const std::string left = plot({0, 1}, {0, 1}, {.width = 20, .height = 5, .title = "a"});
  const std::string right = plot({0, 1}, {1, 0}, {.width = 20, .height = 5, .title = "b"});
  std::istringstream lines(side_by_side(left, right));
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_LE(display_width(line), 60);
  EXPECT_EQ(count, 7u);
}

}  // namespace
}  // namespace r1::report
