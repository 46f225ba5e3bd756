#include "r1/base/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <initializer_list>
#include <vector>

#include "r1/base/log.h"
#include "r1/base/terminal.h"

namespace r1 {
namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

std::string print(const char* format, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

std::string bar_of(double fraction, int width, bool utf8) {
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = int(std::clamp(fraction, 0.0, 1.0) * width * 8), rest = utf8 ? eighths % 8 : 0;
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) bar += utf8 ? "█" : "#";
  bar += kEighths[rest];
  for (int i = eighths / 8 + (rest ? 1 : 0); i < width; ++i) bar += utf8 ? " " : ".";
  return bar;
}

// "12/40 step", "1.3k sample".
std::string count_text(const ProgressState& s) {
  return s.total > 0 ? str(s.done, "/", s.total, " ", s.unit) : str(human_count(double(s.done)), " ", s.unit);
}
std::string rate_text(const ProgressState& s) {
  if (s.rate <= 0) return "";
  return s.rate >= 1 ? str(human_count(s.rate), " ", s.unit, "/s") : str(human_time(1 / s.rate), "/", s.unit);
}
std::string left_text(const ProgressState& s) {
  return s.total > s.done && s.rate > 0 ? human_time(double(s.total - s.done) / s.rate) + " left" : "";
}

std::string joined(std::initializer_list<std::string> parts) {
  std::string text;
  for (const std::string& part : parts) {
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

// What of a bar is shown.
struct Shown {
  int bar;
  bool spent, count, title, percent;
};

std::string line_of(const ProgressState& s, const std::string& note, const Shown& shown) {
  const double fraction = s.total > 0 ? double(s.done) / double(s.total) : 0;
  const std::string times = joined({shown.spent ? human_time(s.spent) : "", rate_text(s), left_text(s)});
  std::string line = shown.title ? s.title : "";
  const auto add = [&](const std::string& part) {
    if (!part.empty()) line += (line.empty() ? "" : " ") + part;
  };
  if (s.total > 0 && shown.percent) add(print("%3.0f%%", std::floor(100 * fraction)));
  if (s.total > 0 && shown.bar > 0) add("|" + bar_of(fraction, shown.bar, s.utf8) + "|");
  if (shown.count) add(count_text(s));
  if (!times.empty()) add(shown.spent ? "(" + times + ")" : times);
  return line + (note.empty() ? "" : "  " + note);
}

}  // namespace

Progress::Progress(std::string title, int64_t total, std::string unit)
    : title_(std::move(title)), unit_(std::move(unit)), total_(total), start_(Clock::now()), drawn_(start_) {}

Progress::~Progress() {
  finish();
}

void Progress::update(int64_t done, const std::string& note) {
  if (finished_) return;
  if (first_ < 0) {
    first_ = done > 0 ? done - 1 : 0;  // a resumed run starts late; its rate counts from here
    start_ = done > 0 ? start_ : Clock::now();
  }
  done_ = done;
  if (!note.empty()) note_ = note;
  const double quiet = seconds(Clock::now() - drawn_);
  if (quiet >= (log_to_terminal() ? 0.1 : 30.0)) draw(false);
}

void Progress::finish(const std::string& note) {
  if (finished_) return;
  finished_ = true;
  if (!note.empty()) note_ = note;
  draw(true);
}

std::string progress_line(const ProgressState& s, size_t columns) {
  const auto fits = [&](const std::string& line) { return columns_of(line) <= columns; };
  std::string note = s.note, line;
  for (int bar = 20; bar >= 8; --bar) {
    if (fits(line = line_of(s, note, {bar, true, true, true, true}))) return line;
  }
  while (!note.empty()) {
    const size_t gap = note.rfind("  ");
    note.erase(gap == std::string::npos ? 0 : note.find_last_not_of(' ', gap) + 1);
    if (fits(line = line_of(s, note, {8, true, true, true, true}))) return line;
  }
  for (int bar = 7; bar >= 0; --bar) {
    if (bar != 1 && bar != 2 && fits(line = line_of(s, "", {bar, true, true, true, true}))) return line;
  }
  constexpr Shown kLess[] = {
      {0, false, true, true, true}, {0, false, false, true, true}, {0, false, false, false, true}, {0, false, false, false, false}};
  for (const Shown& shown : kLess) {
    if (fits(line = line_of(s, "", shown))) return line;
  }
  return cut_words(line, columns);
}

ProgressState Progress::state() const {
  const double spent = seconds(drawn_ - start_), steps = double(done_ - std::max<int64_t>(first_, 0));
  return {title_, unit_, note_, done_, total_, spent, spent > 0 ? steps / spent : 0, utf8_locale()};
}

void Progress::draw(bool last) {
  if (log_level() > LogLevel::kInfo) return;
  drawn_ = Clock::now();
  const ProgressState now = state();
  if (last || !log_to_terminal()) {
    if (log_to_terminal()) set_live_line("");
    const std::string note = note_.empty() ? "" : "  " + note_;
    const std::string times = joined({human_time(now.spent), rate_text(now), last ? "" : left_text(now)});
    log_info(title_, ": ", count_text(now), " (", times, ")", note);
    return;
  }
  set_live_line(progress_line(now, terminal_columns(2) - 1));
}

std::string human_time(double s) {
  if (!std::isfinite(s)) return "?";
  if (s < 0.001) return print("%.0f us", s * 1e6);
  if (s < 1) return print("%.0f ms", s * 1e3);
  if (s < 10) return print("%.1fs", s);
  const auto whole = int64_t(std::llround(s));
  char buffer[64];
  if (whole < 60) {
    std::snprintf(buffer, sizeof buffer, "%lds", long(whole));
  } else if (whole < 3600) {
    std::snprintf(buffer, sizeof buffer, "%ldm %02lds", long(whole / 60), long(whole % 60));
  } else if (whole < 86400) {
    std::snprintf(buffer, sizeof buffer, "%ldh %02ldm", long(whole / 3600), long(whole / 60 % 60));
  } else {
    std::snprintf(buffer, sizeof buffer, "%ldd %02ldh", long(whole / 86400), long(whole / 3600 % 24));
  }
  return buffer;
}

std::string human_count(double n) {
  static constexpr const char* kUnits[] = {"", "k", "M", "G", "T"};
  int unit = 0;
  while (std::fabs(n) >= 999.95 && unit < 4) n /= 1000, ++unit;
  if (unit == 0) return n == std::floor(n) ? print("%.0f", n) : print("%.3g", n);
  return print(std::fabs(n) < 100 ? "%.1f" : "%.0f", n) + kUnits[unit];
}

std::string human_bytes(double n) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (std::fabs(n) >= 1023.95 && unit < 4) n /= 1024, ++unit;
  return print(unit == 0 || std::fabs(n) >= 100 ? "%.0f " : "%.1f ", n) + kUnits[unit];
}

std::string sparkline(const double* values, size_t n, size_t width, double lo, double hi) {
  static constexpr const char* kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static constexpr const char* kAscii[] = {".", ":", "-", "=", "+", "*", "%", "#"};
  const auto& levels = utf8_locale() ? kBlocks : kAscii;
  if (n == 0 || width == 0) return "";
  const size_t columns = std::min(n, width);
  std::vector<double> means(columns);
  for (size_t c = 0; c < columns; ++c) {
    const size_t from = c * n / columns, to = std::max(from + 1, (c + 1) * n / columns);
    double sum = 0, count = 0;
    for (size_t i = from; i < to; ++i) {
      if (std::isfinite(values[i])) sum += values[i], ++count;
    }
    means[c] = count > 0 ? sum / count : NAN;
  }
  if (lo == hi) {
    lo = INFINITY, hi = -INFINITY;
    for (const double m : means) {
      if (std::isfinite(m)) lo = std::min(lo, m), hi = std::max(hi, m);
    }
  }
  std::string line;
  for (const double m : means) {
    const double x = hi > lo ? (m / 2 - lo / 2) / (hi / 2 - lo / 2) : 0.5;  // halves: hi - lo may be beyond a double
    line += std::isfinite(m) ? levels[std::clamp(int(x * 8), 0, 7)] : " ";
  }
  return line;
}

}  // namespace r1
