#include "r1/base/log.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>

#include "r1/base/log_repeats.h"
#include "r1/base/terminal.h"

namespace r1 {
namespace {

std::atomic<LogLevel> level_now{LogLevel::kInfo};

// What stands on the last line of the terminal (a progress bar), and the lock for all that writes to stderr.
struct Screen {
  std::mutex mutex;
  std::string live;
  int counting = 0;                      // CountRepeatedWarnings that live
  std::map<std::string, int64_t> given;  // how often each warning came
};
constexpr size_t kMostCounted = 1'000;  // different ones; a program that has more to say says it all

Screen& screen() {
  static auto* s = new Screen;  // never destroyed: threads may log during exit
  return *s;
}

void write_stderr(std::string_view text) {
  while (!text.empty()) {
    const auto n = ::write(2, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // nowhere left to complain
    text.remove_prefix(size_t(n));
  }
}

bool is_terminal() {
  return ::isatty(STDERR_FILENO) == 1;
}

// Control characters from files and models must not drive the user's terminal.
std::string printable(const std::string& text) {
  std::string clean;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 32 && c != '\n' && c != '\t') || byte == 127) {
      clean += str("\\x", "0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]);
    } else {
      clean += c;
    }
  }
  return clean;
}

constexpr const char* kClearLine = "\r\x1b[2K";

bool is_power_of_ten(int64_t n) {
  while (n >= 10 && n % 10 == 0) n /= 10;
  return n == 1;
}

void write_line(const Screen& s, LogLevel level, const std::string& text) {
  static constexpr const char* kPlain[] = {"", "warning: ", "error: "};
  static constexpr const char* kColour[] = {"", "\x1b[33mwarning:\x1b[0m ", "\x1b[31merror:\x1b[0m "};
  const auto i = static_cast<int>(level);
  const std::string clean = printable(text);
  if (!is_terminal()) return write_stderr(str(kPlain[i], clean, "\n"));
  // A terminal breaks lines anywhere, we between words.
  const size_t columns = terminal_columns(STDERR_FILENO), used = std::string_view(kPlain[i]).size();
  const std::string lines = columns > used + 20 ? wrapped(clean, columns - used) : clean;
  write_stderr(str(s.live.empty() ? "" : kClearLine, kColour[i], lines, "\n", s.live));
}

}  // namespace

void set_log_level(LogLevel level) {
  level_now = level;
}
LogLevel log_level() {
  return level_now;
}

void log_line(LogLevel level, const std::string& text) {
  Screen& s = screen();
  std::lock_guard lock(s.mutex);
  int64_t times = 1;
  if (level == LogLevel::kWarning && s.counting > 0 && (s.given.size() < kMostCounted || s.given.count(text))) times = ++s.given[text];
  if (times == 1) write_line(s, level, text);
  if (times > 1 && is_power_of_ten(times)) write_line(s, level, str(text, " (", times, " times)"));
}

CountRepeatedWarnings::CountRepeatedWarnings() {
  Screen& s = screen();
  std::lock_guard lock(s.mutex);
  ++s.counting;
}

CountRepeatedWarnings::~CountRepeatedWarnings() {
  Screen& s = screen();
  std::lock_guard lock(s.mutex);
  if (--s.counting > 0) return;
  for (const auto& [text, times] : s.given) {
    if (times > 2 && !is_power_of_ten(times)) write_line(s, LogLevel::kWarning, str(text, " (", times, " times in all)"));
  }
  s.given.clear();
}

void set_live_line(const std::string& text) {
  Screen& s = screen();
  std::lock_guard lock(s.mutex);
  if (s.live.empty() && text.empty()) return;
  s.live = text;
  write_stderr(str(kClearLine, text));
}

bool log_to_terminal() {
  return is_terminal();
}

}  // namespace r1
