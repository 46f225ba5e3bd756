#include "r1/base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "r1/base/log.h"

namespace r1 {
namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

size_t terminal_width() {
  winsize size{};
  return ::ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// Cuts UTF-8 text after `columns` characters (all of the bar's characters are one column wide).
std::string cut(const std::string& text, size_t columns) {
  size_t seen = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((text[i] & 0xC0) != 0x80 && seen++ == columns) return text.substr(0, i);
  }
  return text;
}

std::string print(const char* format, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

std::string bar_of(double fraction, int width) {
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = int(std::clamp(fraction, 0.0, 1.0) * width * 8);
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) bar += "█";
  bar += kEighths[eighths % 8];
  for (int i = eighths / 8 + (eighths % 8 ? 1 : 0); i < width; ++i) bar += " ";
  return bar;
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

void Progress::draw(bool last) {
  if (log_level() > LogLevel::kInfo) return;
  drawn_ = Clock::now();
  const double spent = seconds(drawn_ - start_), steps = double(done_ - std::max<int64_t>(first_, 0));
  const double rate = spent > 0 ? steps / spent : 0;
  std::string counts = total_ > 0 ? str(done_, "/", total_, " ", unit_) : str(human_count(double(done_)), " ", unit_);
  std::string times = human_time(spent);
  if (rate > 0) times += rate >= 1 ? str(", ", human_count(rate), " ", unit_, "/s") : str(", ", human_time(1 / rate), "/", unit_);
  if (!last && total_ > done_ && rate > 0) times += str(", ", human_time(double(total_ - done_) / rate), " left");
  const std::string note = note_.empty() ? "" : "  " + note_;
  if (last || !log_to_terminal()) {
    if (log_to_terminal()) set_live_line("");
    log_info(title_, ": ", counts, " (", times, ")", note);
    return;
  }
  const double fraction = total_ > 0 ? double(done_) / double(total_) : 0;
  const std::string bar = total_ > 0 ? str(" ", print("%3.0f%%", std::floor(100 * fraction)), " |", bar_of(fraction, 20), "|") : "";
  set_live_line(cut(str(title_, bar, " ", counts, " (", times, ")", note), terminal_width() - 1));
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
    line += std::isfinite(m) ? kBlocks[std::clamp(int(x * 8), 0, 7)] : " ";
  }
  return line;
}

}  // namespace r1
