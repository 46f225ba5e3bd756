// The one exception type of the project, and string building for its messages.
// Libraries throw r1::Error; only app/main.cc and a server's request boundary catch. A message names the thing, the place and the way out:
//   fail("[rms_norm] expected weight of shape [", d, "], got ", shape);
// What it quotes from a file or a user goes through printable(); however long the parts, a message is no more than a screen.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace r1 {

// What the caller of the program should think of an error; main maps it to the exit code.
enum class ErrorKind {
  kFailed = 1,         // the work failed: bad file, full disk, diverged
  kUsage = 2,          // wrong usage or config, found before any work
  kInterrupted = 130,  // stopped by a signal after a checkpoint
};

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, ErrorKind kind = ErrorKind::kFailed);  // what() is screenful(message)
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

inline constexpr size_t kMaxMessageLine = 1'000, kMaxMessageLines = 200;
// The message with lines over kMaxMessageLine bytes cut in their middle and no more than kMaxMessageLines lines (a help text fits).
std::string screenful(std::string_view message);

// Text from a file or a user as it may stand in a message: control characters as \x.., at most 80 bytes, no character cut in two.
std::string printable(std::string_view text);

// What another library's exception says, as one line: its first, without the place in the library's source.
std::string foreign_message(std::string_view what);

// Concatenates its arguments with operator<<.
template <class... Args>
std::string str(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

template <class... Args>
[[noreturn]] void fail(const Args&... args) {
  throw Error(r1::str(args...));  // qualified: c10 has a str too, and tensors' types bring it in
}

template <class... Args>
[[noreturn]] void fail_usage(const Args&... args) {
  throw Error(r1::str(args...), ErrorKind::kUsage);
}

// check(n > 0, "[op] expected ..., got ", n): the arguments are only formatted on failure.
template <class... Args>
void check(bool ok, const Args&... args) {
  if (!ok) fail(args...);
}

}  // namespace r1
