#include "r1/report/chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "r1/report/plot.h"
#include "r1/report/report.h"

namespace r1::report {
namespace {

constexpr double kWidth = 400, kHeight = 172, kLeft = 44, kRight = 8, kTop = 10, kBottom = 22;

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

struct Scale {
  double x_lo, x_hi, y_lo, y_hi;
  double x(double v) const { return kLeft + (v - x_lo) / (x_hi - x_lo) * (kWidth - kLeft - kRight); }
  double y(double v) const { return kHeight - kBottom - (v - y_lo) / (y_hi - y_lo) * (kHeight - kTop - kBottom); }
};

std::string path_of(const std::vector<double>& x, const std::vector<double>& y, const Scale& scale) {
  std::string path;
  for (size_t i = 0; i < x.size(); ++i) path += str(i ? "L" : "M", fixed(scale.x(x[i]), 1), " ", fixed(scale.y(y[i]), 1));
  return path;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return str("<text x=\"", fixed(x, 1), "\" y=\"", fixed(y, 1), "\" text-anchor=\"", anchor, "\">", text, "</text>");
}

std::string axes(const std::vector<double>& y_ticks, const std::vector<double>& x_ticks, const Scale& scale) {
  std::string out;
  const double y_step = y_ticks[1] - y_ticks[0], x_step = x_ticks[1] - x_ticks[0];
  for (double t : y_ticks) {
    out += str("<line class=\"grid\" x1=\"", kLeft, "\" x2=\"", kWidth - kRight, "\" y1=\"", fixed(scale.y(t), 1), "\" y2=\"",
               fixed(scale.y(t), 1), "\"/>", text_at(kLeft - 6, scale.y(t) + 3.5, "end", tick_label(t, y_step)));
  }
  for (double t : x_ticks) {
    if (t < scale.x_lo || t > scale.x_hi) continue;
    out += text_at(scale.x(t), kHeight - 6, scale.x(t) > kWidth - 24 ? "end" : "middle", tick_label(t, x_step));
  }
  return out;
}

// Points for the pointer's read-out: the smoothed line, few enough.
std::string data_attribute(const Series& s, const Scale& scale) {
  std::string out;
  const size_t stride = std::max<size_t>(1, s.x.size() / 200);
  for (size_t i = 0; i < s.x.size(); i += stride) {
    out += str(out.empty() ? "" : ";", fixed(scale.x(s.x[i]), 1), ",", fixed(scale.y(s.y[i]), 1), ",", int64_t(s.x[i]), ",",
               format_number(s.y[i]));
  }
  return out;
}

}  // namespace

Series series_of(const std::vector<Json>& lines, const std::string& key) {
  Series series;
  for (const Json& line : lines) {
    const auto value = line.find(key), step = line.find("step");
    if (value == line.end() || step == line.end() || !value->is_number() || !step->is_number()) continue;
    const double x = step->get<double>(), y = value->get<double>();
    if (!std::isfinite(x) || !std::isfinite(y)) continue;
    series.x.push_back(std::clamp(x, -1e15, 1e15));  // sums and coordinates stay finite, steps whole numbers
    series.y.push_back(std::clamp(y, -1e300, 1e300));
  }
  return series;
}

std::vector<double> smoothed(const std::vector<double>& y) {
  const int64_t n = int64_t(y.size()), reach = std::clamp<int64_t>(n / 25, 0, 50);
  std::vector<double> out;
  for (int64_t i = 0; i < n; ++i) {
    double sum = 0, weight = 0;
    for (int64_t k = std::max<int64_t>(0, i - reach); k <= std::min(n - 1, i + reach); ++k) {
      const double w = double(reach + 1 - std::abs(k - i));
      sum += w * y[size_t(k)], weight += w;
    }
    out.push_back(sum / weight);
  }
  return out;
}

Series thinned(const Series& s, size_t buckets) {
  if (s.x.size() <= 2 * buckets) return s;
  Series out;
  for (size_t b = 0; b < buckets; ++b) {
    const auto begin = s.y.begin() + int64_t(b * s.y.size() / buckets), end = s.y.begin() + int64_t((b + 1) * s.y.size() / buckets);
    const auto [lo, hi] = std::minmax_element(begin, end);
    for (auto it : {std::min(lo, hi), std::max(lo, hi)}) {
      out.x.push_back(s.x[size_t(it - s.y.begin())]);
      out.y.push_back(*it);
    }
  }
  return out;
}

std::string format_number(double value) {
  const double size = std::abs(value);
  char text[64];
  if (size != 0 && size < 1e-3) {
    std::snprintf(text, sizeof text, "%.2e", value);
  } else if (size >= 1e7) {
    std::snprintf(text, sizeof text, "%.1fM", value / 1e6);
  } else if (size >= 1e5) {
    std::snprintf(text, sizeof text, "%.1fk", value / 1e3);
  } else if (value == std::floor(value)) {
    std::snprintf(text, sizeof text, "%.0f", value);
  } else {
    std::snprintf(text, sizeof text, "%.*f", size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4, value);
  }
  return text;
}

std::string chart_card(const std::string& title, const std::string& unit, const std::string& tone, const Series& all, bool exact) {
  if (all.x.empty()) return "";
  const Series soft = thinned({all.x, exact ? all.y : smoothed(all.y)}, 200), raw = thinned(all, 200);
  const auto [lo, hi] = std::minmax_element(raw.y.begin(), raw.y.end());
  const std::vector<double> y_ticks = ticks(*lo, *hi, 4), x_ticks = ticks(all.x.front(), all.x.back(), 5);
  Scale scale{all.x.front(), all.x.back(), y_ticks.front(), y_ticks.back()};
  if (scale.x_hi == scale.x_lo) scale.x_lo -= 1, scale.x_hi += 1;
  std::string svg = str("<svg viewBox=\"0 0 ", kWidth, " ", kHeight, "\" role=\"img\" aria-label=\"", html_escape(title),
                        "\" data-points=\"", data_attribute(soft, scale), "\">", axes(y_ticks, x_ticks, scale));
  if (all.x.size() == 1) {
    svg += str("<circle class=\"dot\" r=\"3\" cx=\"", fixed(scale.x(all.x[0]), 1), "\" cy=\"", fixed(scale.y(all.y[0]), 1), "\"/>");
  } else {
    const std::string line = path_of(soft.x, soft.y, scale);
    svg += str("<path class=\"area\" d=\"", line, "L", fixed(scale.x(soft.x.back()), 1), " ", kHeight - kBottom, "L",
               fixed(scale.x(soft.x.front()), 1), " ", kHeight - kBottom, "Z\"/><path class=\"raw\" d=\"", path_of(raw.x, raw.y, scale),
               "\"/><path class=\"soft\" d=\"", line, "\"/>");
  }
  svg += "<line class=\"cursor\" y1=\"10\" y2=\"150\"/><circle class=\"cursor\" r=\"3.5\"/></svg>";
  const std::string last = format_number(soft.y.back());
  return str("<figure class=\"card chart ", tone, "\"><figcaption><span class=\"name\">", html_escape(title),
             "</span><span class=\"now\"><b data-last=\"", last, "\">", last, "</b> <i>", html_escape(unit), "</i></span></figcaption>",
             svg, "</figure>");
}

std::string small_chart(const std::string& title, const Series& all, double limit) {
  if (all.x.empty()) return "";
  constexpr double kW = 280, kH = 44;
  const Series raw = thinned(all, 140);
  if (!std::isfinite(limit)) limit = 0;
  const double hi = std::max({*std::max_element(raw.y.begin(), raw.y.end()), limit * 1.1, 1e-9}),
               lo = std::min(0.0, *std::min_element(raw.y.begin(), raw.y.end()));
  const double from = raw.x.front(), width = std::max(1e-9, raw.x.back() - from);
  const auto y = [&](double v) { return fixed(2 + (hi - v) / (hi - lo) * (kH - 4), 1); };
  std::string path;
  for (size_t i = 0; i < raw.x.size(); ++i) path += str(i ? "L" : "M", fixed((raw.x[i] - from) / width * kW, 1), " ", y(raw.y[i]));
  if (raw.x.size() == 1) path += str("H", kW);
  return str("<svg viewBox=\"0 0 ", kW, " ", kH, "\" role=\"img\" aria-label=\"", html_escape(title), "\"><path class=\"limit\" d=\"M0 ",
             y(limit), "H", kW, "\"/><path class=\"soft\" d=\"", path, "\"/></svg>");
}

}  // namespace r1::report
