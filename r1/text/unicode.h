// Code points, their classes and canonical composition, exactly as HF `tokenizers` sees them: its regexes follow Oniguruma's tables
// (Unicode 16), its digit, space and punctuation tests Rust's, its NFC tables of Unicode 9. The data is measured from it
// (unicode_data.inc); no system library agrees with all. Leaves out: case mapping, compatibility forms, grapheme clusters.
//
// Text may be any bytes: a byte that is no part of valid UTF-8 decodes to kInvalid, length 1, and has no class.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace r1::text {

enum CharFlag : uint8_t {
  kLetter = 1,       // \p{L}
  kNumber = 2,       // \p{N}
  kMark = 4,         // \p{M}
  kPunctSymbol = 8,  // \p{P} or \p{S}
  kSpace = 16,       // \s
  kNumeric = 32,     // Rust's char::is_numeric, what Digits splits on
  kNfcActive = 64,   // may change, move or combine under NFC
  kWordChar = 128,   // \w of the Rust regex crate (it takes the joiners in), for whole-word added tokens
};

inline constexpr uint32_t kInvalid = 0x110000;

// One byte of CharFlag a code point, kInvalid included.
const uint8_t* char_flags();

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
  return *cp = kInvalid, 1;
}

void append_utf8(std::string& out, uint32_t cp);

// Bytes at the end of `text` that begin a UTF-8 sequence which more bytes could still complete (0..3).
size_t unfinished_utf8(std::string_view text);

// Invalid sequences replaced by U+FFFD, one for each maximal part of a sequence, as Rust's from_utf8_lossy and Python's "replace" do.
std::string to_valid_utf8(std::string_view bytes);

// A set of code points as sorted, disjoint, inclusive ranges.
struct Range {
  uint32_t first, last;
};
using RangeSet = std::vector<Range>;
RangeSet unite(RangeSet a, const RangeSet& b);
RangeSet complement(const RangeSet& a);
RangeSet intersect(const RangeSet& a, const RangeSet& b);

// A general category ("L", "Lu", "N", ...) as Oniguruma has it; false if the name is no category.
bool category_ranges(std::string_view name, RangeSet* out);
std::span<const Range> word_ranges();         // \w of Oniguruma
std::span<const Range> crate_word_ranges();   // \w of the Rust regex crate, for the Whitespace pre-tokenizer
std::span<const Range> space_ranges();        // \s
std::span<const Range> punctuation_ranges();  // what the Punctuation pre-tokenizer splits on

// Normalized text with, if asked, the byte range [begin, end) in the source of every byte.
struct Normalized {
  std::string text;
  std::vector<std::pair<uint32_t, uint32_t>> source;
};
bool nfc_may_change(std::string_view text);
Normalized nfc(std::string_view text, bool with_source);
Normalized nfd(std::string_view text, bool with_source);

}  // namespace r1::text
