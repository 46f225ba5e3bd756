#include "r1/text/unicode.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

namespace r1::text {
namespace {

struct CategoryRun {
  uint32_t first;
  uint8_t category;
};
struct CombiningClass {
  uint32_t cp;
  uint8_t ccc;
};
struct Decomposition {
  uint32_t cp, a, b;  // b = 0: one code point
};

#include "r1/text/unicode_data.inc"

constexpr std::array<std::string_view, 30> kCategoryNames = {"Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd",
                                                             "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
                                                             "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co"};

constexpr uint32_t kHangulBase = 0xAC00, kL = 0x1100, kV = 0x1161, kT = 0x11A7;
constexpr uint32_t kLCount = 19, kVCount = 21, kTCount = 28, kSyllables = kLCount * kVCount * kTCount;

uint8_t flag_of_category(uint8_t category) {
  switch (kCategoryNames[category][0]) {
    case 'L':
      return kLetter;
    case 'N':
      return kNumber;
    case 'M':
      return kMark;
    case 'P':
    case 'S':
      return kPunctSymbol;
    default:
      return 0;
  }
}

void set_flag(std::vector<uint8_t>& flags, std::span<const Range> ranges, uint8_t flag) {
  for (const Range& r : ranges)
    for (uint32_t c = r.first; c <= r.last; ++c) flags[c] |= flag;
}

std::vector<uint8_t> make_flags() {
  std::vector<uint8_t> flags(0x110001, 0);
  const size_t n = std::size(kCategoryRuns);
  for (size_t i = 0; i < n; ++i) {
    const uint32_t end = i + 1 < n ? kCategoryRuns[i + 1].first : 0x110000;
    std::fill(flags.begin() + kCategoryRuns[i].first, flags.begin() + end, flag_of_category(kCategoryRuns[i].category));
  }
  set_flag(flags, kSpaceRanges, kSpace);
  set_flag(flags, kNumericRanges, kNumeric);
  set_flag(flags, kCrateWordRanges, kWordChar);
  for (const auto& c : kCombiningClasses) flags[c.cp] |= kNfcActive;
  for (const auto& d : kDecompositions) {
    const bool excluded = d.b == 0 || std::ranges::find(kCompositionExclusions, d.cp) != std::end(kCompositionExclusions);
    if (excluded) flags[d.cp] |= kNfcActive;
    if (d.b && !excluded) flags[d.b] |= kNfcActive;
  }
  for (uint32_t c = kV; c < kV + kVCount; ++c) flags[c] |= kNfcActive;
  for (uint32_t c = kT + 1; c < kT + kTCount; ++c) flags[c] |= kNfcActive;
  return flags;
}

// The canonical mappings, as hash maps built once.
struct Canonical {
  std::unordered_map<uint32_t, std::pair<uint32_t, uint32_t>> decompose;
  std::unordered_map<uint64_t, uint32_t> compose;
  std::unordered_map<uint32_t, uint8_t> ccc;

  Canonical() {
    for (const auto& c : kCombiningClasses) ccc.emplace(c.cp, c.ccc);
    for (const auto& d : kDecompositions) {
      decompose.emplace(d.cp, std::pair(d.a, d.b));
      if (d.b && std::ranges::find(kCompositionExclusions, d.cp) == std::end(kCompositionExclusions))
        compose.emplace(uint64_t(d.a) << 32 | d.b, d.cp);
    }
  }
};

const Canonical& canonical() {
  static const Canonical tables;
  return tables;
}

// A code point on its way through normalization, with the source bytes it came from. Invalid bytes travel as kInvalid + byte.
struct Mark {
  uint32_t cp;
  uint8_t ccc;
  uint32_t begin, end;
};

void decompose(uint32_t cp, uint32_t begin, uint32_t end, std::vector<Mark>& out) {
  const Canonical& t = canonical();
  if (cp - kHangulBase < kSyllables) {
    const uint32_t s = cp - kHangulBase;
    out.push_back({kL + s / (kVCount * kTCount), 0, begin, end});
    out.push_back({kV + s % (kVCount * kTCount) / kTCount, 0, begin, end});
    if (s % kTCount) out.push_back({kT + s % kTCount, 0, begin, end});
    return;
  }
  if (const auto it = t.decompose.find(cp); it != t.decompose.end()) {
    decompose(it->second.first, begin, end, out);
    if (it->second.second) decompose(it->second.second, begin, end, out);
    return;
  }
  const auto ccc = t.ccc.find(cp);
  out.push_back({cp, ccc == t.ccc.end() ? uint8_t(0) : ccc->second, begin, end});
}

std::vector<Mark> decomposed(std::string_view text) {
  std::vector<Mark> marks;
  marks.reserve(text.size());
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    uint32_t cp;
    const int n = decode_utf8(p, end, &cp);
    const uint32_t at = uint32_t(p - text.data());
    if (cp < 0xC0 || cp == kInvalid) {
      marks.push_back({cp == kInvalid ? kInvalid + uint8_t(*p) : cp, 0, at, at + uint32_t(n)});
    } else {
      decompose(cp, at, at + uint32_t(n), marks);
    }
    p += n;
  }
  for (auto it = marks.begin(); it != marks.end();) {
    if (it->ccc == 0) {
      ++it;
      continue;
    }
    const auto stop = std::find_if(it, marks.end(), [](const Mark& m) { return m.ccc == 0; });
    std::stable_sort(it, stop, [](const Mark& a, const Mark& b) { return a.ccc < b.ccc; });
    it = stop;
  }
  return marks;
}

uint32_t composed(uint32_t a, uint32_t b) {
  if (a - kL < kLCount && b - kV < kVCount) return kHangulBase + ((a - kL) * kVCount + (b - kV)) * kTCount;
  if (a - kHangulBase < kSyllables && (a - kHangulBase) % kTCount == 0 && b - kT - 1 < kTCount - 1) return a + (b - kT);
  const auto& compose = canonical().compose;
  const auto it = compose.find(uint64_t(a) << 32 | b);
  return it == compose.end() ? 0 : it->second;
}

// Canonical composition in place (Unicode, section 3.11, D117).
void compose(std::vector<Mark>& marks) {
  size_t out = 0, starter = SIZE_MAX;
  for (size_t i = 0; i < marks.size(); ++i) {
    const Mark m = marks[i];
    const bool adjacent = starter != SIZE_MAX && starter + 1 == out;
    const bool blocked = !adjacent && out > 0 && (marks[out - 1].ccc == 0 || marks[out - 1].ccc >= m.ccc);
    if (starter != SIZE_MAX && !blocked) {
      if (const uint32_t c = composed(marks[starter].cp, m.cp)) {
        marks[starter].cp = c;
        marks[starter].begin = std::min(marks[starter].begin, m.begin);
        marks[starter].end = std::max(marks[starter].end, m.end);
        continue;
      }
    }
    if (m.ccc == 0) starter = out;
    marks[out++] = m;
  }
  marks.resize(out);
}

Normalized joined(const std::vector<Mark>& marks, bool with_source) {
  Normalized result;
  for (const Mark& m : marks) {
    const size_t before = result.text.size();
    if (m.cp >= kInvalid) {
      result.text.push_back(char(m.cp - kInvalid));
    } else {
      append_utf8(result.text, m.cp);
    }
    if (with_source) result.source.insert(result.source.end(), result.text.size() - before, {m.begin, m.end});
  }
  return result;
}

}  // namespace

const uint8_t* char_flags() {
  static const std::vector<uint8_t> flags = make_flags();
  return flags.data();
}

namespace {

// How many bytes at p form a valid sequence (*whole) or the longest proper beginning of one (at least 1).
size_t utf8_part(const char* p, const char* end, bool* whole) {
  uint32_t cp;
  const int n = decode_utf8(p, end, &cp);
  *whole = cp != kInvalid;
  if (*whole) return size_t(n);
  const auto byte = [p](int i) { return uint8_t(p[i]); };
  const uint8_t b0 = byte(0);
  const int want = b0 >= 0xF0 && b0 < 0xF5 ? 4 : b0 >= 0xE0 && b0 < 0xF0 ? 3 : b0 >= 0xC2 && b0 < 0xE0 ? 2 : 1;
  int have = 1;
  for (; have < want && p + have < end; ++have) {
    const uint8_t b = byte(have);
    if ((b & 0xC0) != 0x80) break;
    if (have == 1 && ((b0 == 0xE0 && b < 0xA0) || (b0 == 0xED && b >= 0xA0) || (b0 == 0xF0 && b < 0x90) || (b0 == 0xF4 && b >= 0x90)))
      break;
  }
  return size_t(have);
}

}  // namespace

size_t unfinished_utf8(std::string_view text) {
  const char* const end = text.data() + text.size();
  for (size_t back = std::min<size_t>(3, text.size()); back > 0; --back) {
    const char* p = end - back;
    const uint8_t b0 = uint8_t(*p);
    const size_t want = b0 >= 0xF0 && b0 < 0xF5 ? 4 : b0 >= 0xE0 && b0 < 0xF0 ? 3 : b0 >= 0xC2 && b0 < 0xE0 ? 2 : 1;
    bool whole;
    if (want > back && utf8_part(p, end, &whole) == back && !whole) return back;
  }
  return 0;
}

std::string to_valid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  const char* const end = bytes.data() + bytes.size();
  for (const char* p = bytes.data(); p < end;) {
    bool whole;
    const size_t n = utf8_part(p, end, &whole);
    if (whole) {
      out.append(p, n);
    } else {
      out += "\xEF\xBF\xBD";
    }
    p += n;
  }
  return out;
}

RangeSet unite(RangeSet a, const RangeSet& b) {
  a.insert(a.end(), b.begin(), b.end());
  std::ranges::sort(a, {}, &Range::first);
  RangeSet out;
  for (const Range& r : a) {
    if (!out.empty() && r.first <= out.back().last + 1) {
      out.back().last = std::max(out.back().last, r.last);
    } else {
      out.push_back(r);
    }
  }
  return out;
}

RangeSet complement(const RangeSet& a) {
  RangeSet out;
  uint32_t next = 0;
  for (const Range& r : a) {
    if (r.first > next) out.push_back({next, r.first - 1});
    next = r.last + 1;
  }
  if (next < 0x110000) out.push_back({next, 0x10FFFF});
  return out;
}

RangeSet intersect(const RangeSet& a, const RangeSet& b) {
  return complement(unite(complement(a), complement(b)));
}

bool category_ranges(std::string_view name, RangeSet* out) {
  const bool known = std::ranges::any_of(kCategoryNames, [&](std::string_view c) { return !c.empty() && c.starts_with(name); });
  if (!known || name.empty() || name.size() > 2) return false;
  out->clear();
  const size_t n = std::size(kCategoryRuns);
  for (size_t i = 0; i < n; ++i) {
    if (!kCategoryNames[kCategoryRuns[i].category].starts_with(name)) continue;
    const uint32_t last = i + 1 < n ? kCategoryRuns[i + 1].first - 1 : 0x10FFFF;
    if (!out->empty() && out->back().last + 1 == kCategoryRuns[i].first) {
      out->back().last = last;
    } else {
      out->push_back({kCategoryRuns[i].first, last});
    }
  }
  return true;
}

std::span<const Range> word_ranges() {
  return kWordRanges;
}
std::span<const Range> crate_word_ranges() {
  return kCrateWordRanges;
}
std::span<const Range> space_ranges() {
  return kSpaceRanges;
}
std::span<const Range> punctuation_ranges() {
  return kPunctuationRanges;
}

bool nfc_may_change(std::string_view text) {
  const uint8_t* const flags = char_flags();
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    uint64_t eight;
    if (end - p >= 8 && (std::memcpy(&eight, p, 8), (eight & 0x8080808080808080u) == 0)) {  // ASCII
      p += 8;
      continue;
    }
    if (uint8_t(*p) < 0xC0) {
      ++p;
      continue;
    }
    uint32_t cp;
    p += decode_utf8(p, end, &cp);
    if (flags[cp] & kNfcActive) return true;
  }
  return false;
}

Normalized nfc(std::string_view text, bool with_source) {
  std::vector<Mark> marks = decomposed(text);
  compose(marks);
  return joined(marks, with_source);
}

Normalized nfd(std::string_view text, bool with_source) {
  return joined(decomposed(text), with_source);
}

}  // namespace r1::text
