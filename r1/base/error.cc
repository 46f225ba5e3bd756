#include "r1/base/error.h"

#include <algorithm>

namespace r1 {
namespace {

// The first byte of the UTF-8 character that byte `at` belongs to, so that a cut leaves whole characters.
size_t character_start(std::string_view text, size_t at) {
  size_t start = at;
  while (start > 0 && at - start < 3 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return start;
}

// Keeps the beginning (what happened, where) and the end (the way out).
std::string short_line(std::string_view line) {
  constexpr size_t kTail = kMaxMessageLine / 4, kHead = kMaxMessageLine - kTail;
  if (line.size() <= kMaxMessageLine) return std::string(line);
  const size_t head = character_start(line, kHead), tail = character_start(line, line.size() - kTail);
  return str(line.substr(0, head), " ... (", tail - head, " bytes left out) ... ", line.substr(tail));
}

}  // namespace

std::string screenful(std::string_view message) {
  std::string out;
  size_t lines = 0;
  for (size_t at = 0; at <= message.size(); ++lines) {
    const size_t end = std::min(message.find('\n', at), message.size());
    if (lines == kMaxMessageLines) return str(out, "\n... (", message.size() - at, " bytes left out)");
    if (at > 0) out += '\n';
    out += short_line(message.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

Error::Error(const std::string& message, ErrorKind kind) : std::runtime_error(screenful(message)), kind_(kind) {}

std::string printable(std::string_view text) {
  constexpr size_t kLongest = 80;
  const bool cut = text.size() > kLongest;
  std::string out;
  for (const char c : cut ? text.substr(0, character_start(text, kLongest)) : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      out += "\\x";
      out += "0123456789abcdef"[byte >> 4];
      out += "0123456789abcdef"[byte & 15];
    }
  }
  return cut ? out + "..." : out;
}

std::string foreign_message(std::string_view what) {
  std::string_view line = what.substr(0, what.find('\n'));
  // "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: ..."
  if (const size_t end = line.find("] "); line.starts_with("[enforce fail at ") && end != line.npos) line.remove_prefix(end + 2);
  const bool memory = line.find("can't allocate memory") != line.npos || line.find("CUDA out of memory") != line.npos;
  const bool silent = line.empty() || line == "std::bad_alloc";
  if (silent) return what.starts_with("std::bad_alloc") ? "out of memory" : "unknown error of a library";
  return screenful(str(memory ? "out of memory: " : "", line));
}

}  // namespace r1
