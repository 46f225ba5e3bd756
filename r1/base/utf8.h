// UTF-8, one code point at a time. Text may be any bytes: a byte that is no part of valid UTF-8 decodes to kInvalidChar, length 1.
#pragma once

#include <cstdint>
#include <string>

namespace r1 {

inline constexpr uint32_t kInvalidChar = 0x110000;

// Length of the code point at p (p < end); *cp gets its value. Overlong forms, surrogates and cut sequences are invalid.
inline int decode_utf8(const char* p, const char* end, uint32_t* cp) {
  const auto byte = [p](int i) { return uint32_t(uint8_t(p[i])); };
  const uint32_t b0 = byte(0);
  if (b0 < 0x80) return *cp = b0, 1;
  const auto tail = [&](int i) { return (byte(i) & 0xC0) == 0x80; };
  const auto left = end - p;
  if (b0 >= 0xC2 && b0 < 0xE0) {
    if (left >= 2 && tail(1)) return *cp = (b0 & 0x1F) << 6 | (byte(1) & 0x3F), 2;
  } else if (b0 >= 0xE0 && b0 < 0xF0) {
    if (left >= 3 && tail(1) && tail(2)) {
      const uint32_t c = (b0 & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
      if (c >= 0x800 && (c < 0xD800 || c >= 0xE000)) return *cp = c, 3;
    }
  } else if (b0 >= 0xF0 && b0 < 0xF5) {
    if (left >= 4 && tail(1) && tail(2) && tail(3)) {
      const uint32_t c = (b0 & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
      if (c >= 0x10000 && c < 0x110000) return *cp = c, 4;
    }
  }
  return *cp = kInvalidChar, 1;
}

// `cp` is a code point: below kInvalidChar and no surrogate.
void append_utf8(std::string& out, uint32_t cp);

}  // namespace r1
