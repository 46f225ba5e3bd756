#include "r1/api/characters.h"

#include "r1/base/is_utf8.h"

namespace r1::api {

bool is_utf8(std::string_view text) {
  return r1::is_utf8(text);
}

std::string_view first_bytes(std::string_view text, size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  return text.substr(0, most);
}

}  // namespace r1::api
