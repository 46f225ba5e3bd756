#include "r1/base/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace r1 {
namespace {

bool begins_character(char c) {
  return (c & 0xC0) != 0x80;
}

// The byte after the first `columns` characters.
size_t bytes_of_columns(std::string_view text, size_t columns) {
  size_t seen = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (begins_character(text[i]) && seen++ == columns) return i;
  }
  return text.size();
}

// Where a line goes on when it is broken. What it begins with counts as a list's left column only if it leaves room for the right one.
size_t hanging_indent(const std::string& line, size_t columns) {
  const size_t first = std::min(line.find_first_not_of(' '), line.size()), gap = line.find("  ", first);
  if (gap == std::string::npos) return first;
  const size_t second = line.find_first_not_of(' ', gap);
  return second != std::string::npos && columns_of(std::string_view(line).substr(0, second)) + 24 <= columns ? second : first + 4;
}

std::string wrapped_line(std::string line, size_t columns) {
  const std::string indent(hanging_indent(line, columns), ' ');
  std::string out;
  while (columns_of(line) > columns) {
    const size_t end = bytes_of_columns(line, columns);
    size_t at = line.rfind(' ', end);
    if (at == std::string::npos || line.find_last_not_of(' ', at) == std::string::npos || at < indent.size()) at = line.find(' ', end);
    if (at == std::string::npos) break;
    const size_t last = line.find_last_not_of(' ', at), next = line.find_first_not_of(' ', at);
    out += line.substr(0, last + 1) + "\n";
    if (next == std::string::npos) return out.substr(0, out.size() - 1);
    line = indent + line.substr(next);
  }
  return out + line;
}

}  // namespace

size_t terminal_columns(int descriptor) {
  winsize size{};
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool utf8_locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (!value || !*value) continue;
    std::string text;
    for (const char* c = value; *c; ++c) {
      if (*c != '-') text += char(std::tolower(static_cast<unsigned char>(*c)));
    }
    return text.find("utf8") != std::string::npos;
  }
  return false;
}

size_t columns_of(std::string_view text) {
  return size_t(std::count_if(text.begin(), text.end(), begins_character));
}

std::string cut_words(const std::string& text, size_t columns) {
  if (columns_of(text) <= columns) return text;
  const size_t end = bytes_of_columns(text, columns), blank = text.rfind(' ', end);
  const size_t last = blank == std::string::npos ? std::string::npos : text.find_last_not_of(' ', blank);
  return text.substr(0, last == std::string::npos ? end : last + 1);
}

std::string wrapped(const std::string& text, size_t columns) {
  std::string out;
  for (size_t from = 0; from < text.size();) {
    const size_t end = std::min(text.find('\n', from), text.size());
    out += wrapped_line(text.substr(from, end - from), columns);
    if (end < text.size()) out += '\n';
    from = end + 1;
  }
  return out;
}

}  // namespace r1
