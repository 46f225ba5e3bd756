#include "r1/train/plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

namespace r1::train {
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
}  // namespace r1::train
