// The report's line charts as inline SVG: raw values thin, a smoothed line over them, round ticks.
#pragma once

#include <string>
#include <vector>

#include "r1/base/json.h"

namespace r1::report {

struct Series {
  std::vector<double> x, y;  // finite points only
};

// The finite numbers under `key`, over their steps; cut off at 1e300, and steps at 1e15.
Series series_of(const std::vector<Json>& lines, const std::string& key);

// Centred moving average with triangular weights (so it does not lag); its reach grows with the length, and is cut off at the ends.
std::vector<double> smoothed(const std::vector<double>& y);

// At most about 2 * buckets points: the lowest and highest of each bucket, in order, so that spikes stay visible.
Series thinned(const Series& series, size_t buckets);

// "0.0312", "1,234", "3.4M": four digits that matter.
std::string format_number(double value);

// A card: title, last value, chart. `tone` is a CSS class that gives the colour; `exact` draws the values as they are (the learning rate).
std::string chart_card(const std::string& title, const std::string& unit, const std::string& tone, const Series& series,
                       bool exact = false);

// A small curve of the values as they are, with a dashed line at `limit`; "" without values.
std::string small_chart(const std::string& title, const Series& series, double limit);

}  // namespace r1::report
