// Messages for people, on stderr: `log_info("loaded ", n, " tensors")`. --quiet keeps warnings and errors only. stdout belongs to results.
#pragma once

#include "r1/base/error.h"

namespace r1 {

enum class LogLevel { kInfo, kWarning, kError };

void set_log_level(LogLevel level);
LogLevel log_level();
// One line, whole, also from several threads. A live progress bar is cleared first and drawn again.
void log_line(LogLevel level, const std::string& text);

// The line that stays last on a terminal (a progress bar); "" takes it away. Only when log_to_terminal().
void set_live_line(const std::string& text);
bool log_to_terminal();

template <class... Args>
void log_info(const Args&... args) {
  if (log_level() <= LogLevel::kInfo) log_line(LogLevel::kInfo, str(args...));
}
template <class... Args>
void log_warning(const Args&... args) {
  if (log_level() <= LogLevel::kWarning) log_line(LogLevel::kWarning, str(args...));
}
template <class... Args>
void log_error(const Args&... args) {
  log_line(LogLevel::kError, str(args...));
}

}  // namespace r1
