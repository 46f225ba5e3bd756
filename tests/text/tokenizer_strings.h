// The strings of the tokenizer comparison, made from an index by the same few lines here and in tests/oracles/tokenizer_strings.py.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "r1/base/json.h"
#include "r1/text/unicode.h"

namespace r1::text::testing {

class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t n) { return (next() >> 11) % n; }

 private:
  uint64_t state_;
};

class StringMaker {
 public:
  explicit StringMaker(const std::string& source_dir)
      : groups_(parse_json_file(source_dir + "/tests/golden/tokenizer_words.json").get<std::map<std::string, std::vector<std::string>>>()) {
    for (const auto& [name, items] : groups_) names_.push_back(name);
  }

  std::string make(uint64_t index, const std::vector<std::string>& added) const {
    Rng rng(index);
    const uint64_t kind = rng.below(13);
    const uint64_t n = 1 + rng.below(12);
    std::string out;
    switch (kind) {
      case 0:
        for (uint64_t i = 0; i < n; ++i) append_utf8(out, code_point(rng, kRanges));
        break;
      case 1: {
        const uint32_t block = code_point(rng, kRanges) & ~0xFFu;
        for (uint64_t i = 0; i < n; ++i) append_utf8(out, surrogate(block) ? 0xFFFD : block + uint32_t(rng.below(256)));
        break;
      }
      case 2:
        for (uint64_t i = 0; i < n; ++i) out += pick(rng, "words"), out += pick(rng, "separators");
        break;
      case 3:
        for (uint64_t i = 0; i < n; ++i) out += any(rng);
        break;
      case 4:
        for (uint64_t i = 0; i < n; ++i) {
          out += pick(rng, "spaces");
          if (rng.below(4) == 0) append_utf8(out, code_point(rng, kRanges));
        }
        break;
      case 5:
        for (uint64_t i = 0; i < n; ++i) {
          uint64_t limit = 10;
          for (uint64_t k = rng.below(12); k > 0; --k) limit *= 10;
          out += std::to_string(rng.below(limit));
          out += pick(rng, "numbers");
        }
        break;
      case 6:
        for (uint64_t i = 0; i < n; ++i) {
          out += pick(rng, "words");
          out += pick(rng, "contractions");
          if (rng.below(3) == 0) append_utf8(out, code_point(rng, kRanges));
        }
        break;
      case 7: {
        std::string bytes;
        for (uint64_t i = 0; i < 3 * n; ++i) {
          const bool any_byte = rng.below(2) != 0;
          bytes.push_back(any_byte ? char(rng.below(256)) : char(0x80 + rng.below(0x78)));
        }
        out = to_valid_utf8(bytes);
        break;
      }
      case 8:
        for (uint64_t i = 0; i < n; ++i) {
          const bool base = rng.below(3) == 0;
          append_utf8(out, base ? code_point(rng, {kRanges.begin(), kRanges.begin() + 6}) : code_point(rng, kMarks));
        }
        break;
      case 9:
        for (uint64_t i = 0; i < 1 + n / 2; ++i) {
          std::string token = added.empty() ? "<none>" : added[rng.below(added.size())];
          const uint64_t cut = rng.below(8);
          if (cut == 0) token = first_half(token);
          if (cut == 1) token += last_char(token);
          out += pick(rng, "separators");
          out += token;
          out += pick(rng, "words");
        }
        break;
      case 10:
        for (uint64_t i = 0; i < n; ++i) {
          out += pick(rng, "code");
          if (rng.below(3) == 0) out += pick(rng, "spaces");
        }
        break;
      case 11:
        for (uint64_t i = 0; i < 2 * n; ++i) append_utf8(out, code_point(rng, kCjk));
        break;
      default: {
        std::string unit;
        for (uint64_t k = 1 + rng.below(2); k > 0; --k) unit += any(rng);
        for (uint64_t k = 1 + rng.below(120); k > 0; --k) out += unit;
      }
    }
    return out;
  }

 private:
  using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;
  inline static const Ranges kRanges = {{0x20, 0x7F},       {0, 0x100},         {0x100, 0x600},     {0x600, 0xE00},     {0xE00, 0x2000},
                                        {0x2000, 0x3100},   {0x3000, 0x3100},   {0x4E00, 0x9FFF},   {0x9F90, 0xA4D0},   {0xA4D0, 0xD800},
                                        {0xAC00, 0xD7A4},   {0xE000, 0x10000},  {0x10000, 0x12000}, {0x12000, 0x20000}, {0x1F000, 0x1FB00},
                                        {0x20000, 0x32000}, {0x32000, 0xE0000}, {0xE0000, 0xE0200}, {0xF0000, 0x110000}};
  inline static const Ranges kMarks = {{0x300, 0x370},     {0x483, 0x488},     {0x591, 0x5C8},     {0x610, 0x61B},     {0x64B, 0x660},
                                       {0x7EB, 0x7FE},     {0x898, 0x8A0},     {0x8CA, 0x900},     {0x93C, 0x94E},     {0x9BC, 0x9FF},
                                       {0xB3C, 0xB58},     {0xBBE, 0xBD8},     {0xCBC, 0xCD7},     {0xD3B, 0xD58},     {0xDCA, 0xDE0},
                                       {0x0F71, 0x0F88},   {0x102D, 0x103B},   {0x1100, 0x1200},   {0x1AB0, 0x1ACF},   {0x1B34, 0x1B45},
                                       {0x1DC0, 0x1E00},   {0x20D0, 0x20F1},   {0x302A, 0x3030},   {0x3099, 0x309B},   {0xAC00, 0xAC40},
                                       {0xFB1D, 0xFB50},   {0x11099, 0x110BB}, {0x11127, 0x11135}, {0x11347, 0x11358}, {0x114B0, 0x114C4},
                                       {0x115AF, 0x115C1}, {0x11930, 0x11944}, {0x1D15E, 0x1D1C1}, {0x1E000, 0x1E02B}, {0x1E8D0, 0x1E8D7},
                                       {0x1E944, 0x1E94B}, {0xF900, 0xFB00},   {0xC0, 0x250},      {0x1E00, 0x2000},   {0x2126, 0x212C}};
  inline static const Ranges kCjk = {{0x3040, 0x3100}, {0x4E00, 0x9FA6}, {0x9FA0, 0x9FB0}, {0x3000, 0x3040}, {0xFF00, 0xFFF0},
                                     {0x30, 0x3A},     {0x61, 0x7B},     {0x20, 0x30},     {0x3400, 0x3410}, {0xAC00, 0xAC10}};

  static bool surrogate(uint32_t c) { return c >= 0xD800 && c < 0xE000; }
  static uint32_t code_point(Rng& rng, const Ranges& ranges) {
    const auto [a, b] = ranges[rng.below(ranges.size())];
    const uint32_t c = a + uint32_t(rng.below(b - a));
    return surrogate(c) ? 0xFFFD : c;
  }
  const std::string& pick(Rng& rng, const std::string& group) const {
    const auto& items = groups_.at(group);
    return items[rng.below(items.size())];
  }
  const std::string& any(Rng& rng) const { return pick(rng, names_[rng.below(names_.size())]); }

  static std::vector<size_t> starts(const std::string& s) {
    std::vector<size_t> out;
    for (size_t i = 0; i < s.size(); ++i)
      if ((uint8_t(s[i]) & 0xC0) != 0x80) out.push_back(i);
    return out;
  }
  static std::string first_half(const std::string& s) {
    const auto at = starts(s);
    return s.substr(0, at[at.size() / 2]);
  }
  static std::string last_char(const std::string& s) { return s.substr(starts(s).back()); }

  std::map<std::string, std::vector<std::string>> groups_;
  std::vector<std::string> names_;
};

}  // namespace r1::text::testing
