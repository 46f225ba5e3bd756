// Code points, their classes and canonical composition, exactly as HF `tokenizers` sees them: its regexes follow Oniguruma's tables
// (Unicode 16), its digit, space and punctuation tests Rust's, its NFC tables of Unicode 9. The data is measured from it
// (unicode_data.inc); no system library agrees with all. Leaves out: case mapping, compatibility forms, grapheme clusters.
//
// Text may be any bytes (r1/base/utf8.h): a byte that is no part of valid UTF-8 is kInvalid and has no class.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/utf8.h"

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

inline constexpr uint32_t kInvalid = kInvalidChar;

// One byte of CharFlag a code point, kInvalid included.
const uint8_t* char_flags();

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
