#include "r1/base/log.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <mutex>

namespace r1 {
namespace {

std::atomic<LogLevel> level_now{LogLevel::kInfo};

// What stands on the last line of the terminal (a progress bar), and the lock for all that writes to stderr.
struct Screen {
  std::mutex mutex;
  std::string live;
};

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
  static const bool yes = ::isatty(2) == 1;
  return yes;
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

}  // namespace

void set_log_level(LogLevel level) {
  level_now = level;
}
LogLevel log_level() {
  return level_now;
}

void log_line(LogLevel level, const std::string& text) {
  static constexpr const char* kPlain[] = {"", "warning: ", "error: "};
  static constexpr const char* kColour[] = {"", "\x1b[33mwarning:\x1b[0m ", "\x1b[31merror:\x1b[0m "};
  const auto prefix = (is_terminal() ? kColour : kPlain)[static_cast<int>(level)];
  Screen& s = screen();
  std::lock_guard lock(s.mutex);
  write_stderr(str(s.live.empty() ? "" : kClearLine, prefix, printable(text), "\n", s.live));
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
