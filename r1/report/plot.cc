#include "r1/report/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>
#include <tuple>

namespace r1::report {
namespace {

struct Frame {
  double x_lo, x_hi, y_lo, y_hi;
};

std::vector<double> finite_only(const std::vector<double>& values) {
  std::vector<double> kept;
  std::copy_if(values.begin(), values.end(), std::back_inserter(kept), [](double v) { return std::isfinite(v); });
  return kept;
}

Frame frame_of(const std::vector<double>& x, const std::vector<double>& y, const PlotOptions& o) {
  Frame f{x.front(), x.back(), o.lo, o.hi};
  if (f.x_lo == f.x_hi) f.x_hi = f.x_lo + 1;
  if (o.lo == o.hi) {
    const auto [lo, hi] = std::minmax_element(y.begin(), y.end());
    const std::vector<double> round = ticks(*lo, *hi, 8);
    f.y_lo = round.front(), f.y_hi = round.back();
  }
  return f;
}

// Dots of a character grid; set() takes dot coordinates, y upward.
class Canvas {
 public:
  Canvas(int width, int height) : width_(width), height_(height), cells_(size_t(width) * size_t(height)) {}
  int dots_wide() const { return 2 * width_; }
  int dots_high() const { return 4 * height_; }
  void set(int x, int y) {
    if (x < 0 || y < 0 || x >= dots_wide() || y >= dots_high()) return;
    static constexpr int kBit[4][2] = {{0, 3}, {1, 4}, {2, 5}, {6, 7}};  // Unicode braille: rows from the top
    const int row = dots_high() - 1 - y;
    cells_[size_t(row / 4 * width_ + x / 2)] |= 1 << kBit[row % 4][x % 2];
  }
  void line(double x0, double y0, double x1, double y1) {
    const int steps = std::max(1, int(std::ceil(std::max(std::abs(x1 - x0), std::abs(y1 - y0)))));
    for (int i = 0; i <= steps; ++i) {
      const double t = double(i) / steps;
      set(int(std::lround(x0 + t * (x1 - x0))), int(std::lround(y0 + t * (y1 - y0))));
    }
  }
  std::string row(int r, bool ascii) const {
    std::string out;
    for (int c = 0; c < width_; ++c) {
      const int bits = cells_[size_t(r * width_ + c)];
      if (bits == 0 || ascii) {
        out += bits ? '*' : ' ';
      } else {  // U+2800 + bits
        out += char(0xE2), out += char(0xA0 | bits >> 6), out += char(0x80 | (bits & 0x3F));
      }
    }
    return out;
  }

 private:
  int width_, height_;
  std::vector<int> cells_;
};

void draw(Canvas& canvas, const std::vector<double>& x, const std::vector<double>& y, const Frame& f) {
  const auto px = [&](double v) { return (v - f.x_lo) / (f.x_hi - f.x_lo) * (canvas.dots_wide() - 1); };
  const auto py = [&](double v) { return (std::clamp(v, f.y_lo, f.y_hi) - f.y_lo) / (f.y_hi - f.y_lo) * (canvas.dots_high() - 1); };
  for (size_t i = 0; i < y.size(); ++i) {
    if (!std::isfinite(y[i])) continue;
    const size_t from = i > 0 && std::isfinite(y[i - 1]) ? i - 1 : i;
    canvas.line(px(x[from]), py(y[from]), px(x[i]), py(y[i]));
  }
}

std::string padded(const std::string& text, int width) {
  return std::string(size_t(std::max(0, width - display_width(text))), ' ') + text;
}

std::string x_axis(const Frame& f, const PlotOptions& o, int margin) {
  const std::string left = tick_label(f.x_lo, 1), right = tick_label(f.x_hi, 1);
  const int gap = o.width - display_width(left) - display_width(right) - display_width(o.x_label);
  const std::string half(size_t(std::max(1, gap / 2)), ' '), rest(size_t(std::max(1, gap - gap / 2)), ' ');
  return std::string(size_t(margin) + 1, ' ') + left + half + o.x_label + rest + right;
}

}  // namespace

std::vector<double> ticks(double lo, double hi, int count) {
  // Beyond this nothing is drawn to scale; sums and products below stay finite.
  static constexpr double kLargest = 1e300, kSmallest = 1e-300;
  const auto drawable = [](double v) { return std::isnan(v) ? 0.0 : std::clamp(v, -kLargest, kLargest); };
  std::tie(lo, hi) = std::minmax({drawable(lo), drawable(hi)});
  // A range that doubles of this size hardly tell apart has no round numbers in it (from 3e16 on, adding 1 changes nothing): it is
  // constant.
  const double size = std::max(std::abs(lo), std::abs(hi));
  if (!(hi - lo > size * 1e-9) || hi - lo < kSmallest) {
    const double room = size < kSmallest ? 1 : size * 0.1;
    lo -= room, hi += room;
  }
  const double raw = (hi - lo) / std::max(1, count), power = std::pow(10, std::floor(std::log10(raw)));
  const double step = power * (raw / power <= 1 ? 1 : raw / power <= 2 ? 2 : raw / power <= 5 ? 5 : 10);
  std::vector<double> out;
  for (double i = std::floor(lo / step + 1e-9), last = std::ceil(hi / step - 1e-9); i <= last; ++i) out.push_back(i * step);
  return out;
}

std::string tick_label(double value, double spacing) {
  char text[32];
  const double size = std::abs(value);
  if (size != 0 && (size < 1e-3 || spacing < 1e-4)) {
    std::snprintf(text, sizeof text, "%.2g", value);
  } else if (size >= 1e6) {
    std::snprintf(text, sizeof text, "%.3gM", value / 1e6);
  } else if (size >= 1e4) {
    std::snprintf(text, sizeof text, "%.4gk", value / 1e3);
  } else {
    const int digits = spacing >= 1 ? 0 : int(std::ceil(-std::log10(spacing) - 1e-9));
    std::snprintf(text, sizeof text, "%.*f", std::clamp(digits, 0, 6), value == 0 ? 0.0 : value);
  }
  return text;
}

int display_width(const std::string& line) {
  return int(std::count_if(line.begin(), line.end(), [](char c) { return (uint8_t(c) & 0xC0) != 0x80; }));
}

std::string plot(const std::vector<double>& x, const std::vector<double>& y, const PlotOptions& o) {
  const std::vector<double> known = finite_only(y);
  if (known.empty() || x.size() != y.size()) return o.title + "\n(no data yet)";
  const Frame f = frame_of(x, known, o);
  Canvas canvas(o.width, o.height);
  draw(canvas, x, y, f);
  const double spacing = (f.y_hi - f.y_lo) / 4;
  const std::string top = tick_label(f.y_hi, spacing), middle = tick_label((f.y_lo + f.y_hi) / 2, spacing / 2),
                    bottom = tick_label(f.y_lo, spacing);
  const int margin = std::max({display_width(top), display_width(middle), display_width(bottom)}) + 1;
  const char* bar = o.ascii ? "|" : "│";
  const char* tick = o.ascii ? "+" : "┤";
  std::string out = std::string(size_t(margin) + 1, ' ') + o.title + "\n";
  for (int row = 0; row < o.height; ++row) {
    const bool labelled = row == 0 || row == o.height / 2 || row == o.height - 1;
    const std::string label = !labelled ? "" : row == 0 ? top : row == o.height - 1 ? bottom : middle;
    out += padded(label, margin - 1) + " " + (labelled ? tick : bar) + canvas.row(row, o.ascii) + "\n";
  }
  return out + x_axis(f, o, margin);
}

std::string side_by_side(const std::string& left, const std::string& right, int gap) {
  std::istringstream a(left), b(right);
  std::vector<std::string> rows_a, rows_b;
  for (std::string line; std::getline(a, line);) rows_a.push_back(line);
  for (std::string line; std::getline(b, line);) rows_b.push_back(line);
  int width = 0;
  for (const std::string& line : rows_a) width = std::max(width, display_width(line));
  std::string out;
  for (size_t i = 0; i < std::max(rows_a.size(), rows_b.size()); ++i) {
    const std::string line = i < rows_a.size() ? rows_a[i] : "";
    out += line + std::string(size_t(width - display_width(line) + gap), ' ') + (i < rows_b.size() ? rows_b[i] : "");
    if (i + 1 < std::max(rows_a.size(), rows_b.size())) out += "\n";
  }
  return out;
}

}  // namespace r1::report
