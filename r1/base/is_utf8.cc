#include "r1/base/is_utf8.h"

#include <algorithm>

#include "r1/base/utf8.h"

namespace r1 {

bool is_utf8(std::string_view bytes) {
  uint32_t c = 0;
  for (const char *p = bytes.data(), *end = p + bytes.size(); p < end;) {
    if (end - p >= 8) {  // ASCII, eight bytes at a time
      uint64_t word;
      std::copy_n(p, 8, reinterpret_cast<char*>(&word));
      if ((word & 0x8080808080808080u) == 0) {
        p += 8;
        continue;
      }
    }
    p += decode_utf8(p, end, &c);
    if (c == kInvalidChar) return false;
  }
  return true;
}

}  // namespace r1
