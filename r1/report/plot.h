// Line plots for the terminal, in braille dots with axes: reward and thought length over steps, as a run goes.
#pragma once

#include <string>
#include <vector>

namespace r1::report {

struct PlotOptions {
  int width = 60, height = 8;  // of the plotting area, in characters (2 x 4 dots each)
  double lo = 0, hi = 0;       // lo == hi: from the data, widened to round numbers
  std::string title, x_label = "step";
  bool ascii = false;  // '*' instead of braille, for terminals without UTF-8
};

// y over x, several lines of text without a trailing newline; NaN is a gap. x must not fall. An empty series gives the title and "no data
// yet".
std::string plot(const std::vector<double>& x, const std::vector<double>& y, const PlotOptions& options);

// Two plots side by side, padded to the width of the left one.
std::string side_by_side(const std::string& left, const std::string& right, int gap = 3);

// Columns a line of UTF-8 takes, for the characters used here (one each).
int display_width(const std::string& line);

// Round numbers that cover [lo, hi] in about `count` steps: 0, 0.2, 0.4 ... (shared with the report's axes). At least two, finite, rising
// and few for any input: the ends in either order; a range that is constant but for its last bits is widened, NaN counts as 0, what is beyond 1e300 is cut off.
std::vector<double> ticks(double lo, double hi, int count);
// A tick's label: no more digits than the spacing asks for; 12k, 3.4M.
std::string tick_label(double value, double spacing);

}  // namespace r1::report
