#include "r1/corpus/compared_words.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "r1/base/error.h"
#include "r1/base/utf8.h"

namespace r1::corpus {
namespace {

#include "r1/corpus/simplify_data.inc"

enum Class : uint16_t {
  kIsPunctuation = 1,
  kIsBlank = 2,
  kIsDigit = 4,
  kIsDecimal = 8,
  kIsMark = 16,
  kHasLower = 32,
  kDecomposes = 64,
  kIsPrefix = 128,
  kIsSuffix = 256,
  kIsSuffixAfterDigit = 512,
  kIsInfix = 1024,
  kIsInfixLetter = 2048,
  kStandsAlone = 4096,  // a character of a script without blanks
  kIsCased = 8192,
  kIsCaseIgnorable = 16384,
};

constexpr uint32_t kWithoutBlanks[][2] = {{0xE00, 0xEFF},   {0xF00, 0xFBC},   {0x1000, 0x109F},   {0x1780, 0x17DD},  {0x3005, 0x3007},
                                          {0x3040, 0x30FF}, {0x31F0, 0x31FF}, {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},  {0xAA60, 0xAA7F},
                                          {0xF900, 0xFAFF}, {0xFF66, 0xFF9D}, {0x1B000, 0x1B16F}, {0x20000, 0x323AF}};
constexpr uint32_t kHangulFirst = 0xAC00, kHangulLast = 0xD7A3;
constexpr uint32_t kSigma = 0x3A3, kFinalSigma = 0x3C2, kDottedI = 0x130;

std::vector<uint16_t> make_classes() {
  std::vector<uint16_t> classes(kInvalidChar + 1, 0);
  const auto set = [&](const auto& ranges, uint16_t flag) {
    for (const auto& r : ranges)
      for (uint32_t c = r[0]; c <= r[1]; ++c) classes[c] |= flag;
  };
  set(kPunctuation, kIsPunctuation);
  set(kBlank, kIsBlank);
  set(kDigit, kIsDigit);
  set(kDecimal, kIsDecimal);
  set(kMark, kIsMark);
  set(kCased, kIsCased);
  set(kCaseIgnorable, kIsCaseIgnorable);
  set(kPrefix, kIsPrefix);
  set(kSuffix, kIsSuffix);
  set(kSuffixAfterDigit, kIsSuffixAfterDigit);
  set(kInfix, kIsInfix);
  set(kInfixLetter, kIsInfixLetter);
  set(kWithoutBlanks, kStandsAlone);
  for (const auto& r : kLower)
    for (uint32_t c = r[0]; c <= r[1]; c += r[2]) classes[c] |= kHasLower;
  for (const auto& d : kDecomposed) classes[d[0]] |= kDecomposes;
  for (uint32_t c = kHangulFirst; c <= kHangulLast; ++c) classes[c] |= kDecomposes;
  classes[kInvalidChar] = kIsBlank;  // bytes that are no text part words
  return classes;
}

const uint16_t* classes() {
  static const std::vector<uint16_t> made = make_classes();
  return made.data();
}

uint32_t lower(uint32_t c) {
  const auto* r = std::upper_bound(std::begin(kLower), std::end(kLower), c, [](uint32_t x, const auto& row) { return x < row[0]; }) - 1;
  return (*r)[3] + (c - (*r)[0]);
}

// What a byte becomes: 0 parts words, 1 is a digit, 2 begins or belongs to a character beyond ASCII, else the letter.
constexpr std::array<char, 256> kBytes = [] {
  std::array<char, 256> t{};
  for (int c = 0x80; c < 0x100; ++c) t[size_t(c)] = 2;
  for (int c = 'a'; c <= 'z'; ++c) t[size_t(c)] = char(c);
  for (int c = 'A'; c <= 'Z'; ++c) t[size_t(c)] = char(c + 32);
  for (int c = '0'; c <= '9'; ++c) t[size_t(c)] = 1;
  return t;
}();

// Contractions by their first and last letter, and which lengths there are: most words end there.
struct SplitTable {
  std::array<uint16_t, 26 * 26> lengths{};
  std::array<std::vector<uint16_t>, 26 * 26> words;
};
constexpr size_t kLongestSplit = 12;

bool is_letter(char c) {
  return c >= 'a' && c <= 'z';
}

const SplitTable& split_table() {
  static const SplitTable table = [] {
    SplitTable t;
    for (size_t i = 0; i < std::size(kSplitWords); ++i) {
      const std::string_view w = kSplitWords[i][0];
      check(w.size() <= kLongestSplit && is_letter(w.front()) && is_letter(w.back()), "[words] a contraction of another form: ", w);
      const size_t ends = size_t(w.front() - 'a') * 26 + size_t(w.back() - 'a');
      t.words[ends].push_back(uint16_t(i));
      t.lengths[ends] |= uint16_t(1 << w.size());
    }
    return t;
  }();
  return table;
}

std::string_view split_word(const SplitTable& table, std::string_view word) {
  if (word.empty() || word.size() > kLongestSplit || !is_letter(word.front()) || !is_letter(word.back())) return {};
  const size_t ends = size_t(word.front() - 'a') * 26 + size_t(word.back() - 'a');
  if (!(table.lengths[ends] >> word.size() & 1)) return {};
  for (const uint16_t i : table.words[ends])
    if (kSplitWords[i][0] == word) return kSplitWords[i][1];
  return {};
}
std::string_view split_word(std::string_view word) {
  return split_word(split_table(), word);
}

bool is_special(std::string_view word) {
  return !split_word(word).empty() ||
         (!word.empty() && std::find(std::begin(kWholeWords), std::end(kWholeWords), word) != std::end(kWholeWords));
}

struct Point {
  uint32_t c;
  uint32_t at, end;  // bytes of the word
};

}  // namespace

// Reads the text once. A "chunk" is what stands between blanks once punctuation has become blanks; most are a word.
class WordMaker {
 public:
  WordMaker(std::string_view text, const WordOptions& options, Words& words)
      : text_(text), options_(options), words_(words), class_(classes()) {
    check(text.size() < uint64_t{1} << 30, "[words] a text of ", text.size(), " bytes: more than 2^30");
    words_.ends_.clear();
    words_.sources_.clear();
    // No character grows to more than six times its bytes (a musical sign of three parts), no byte is followed by more than one blank.
    if (words_.text_.size() < text.size() * 4 + 64) words_.text_.resize(text.size() * 4 + 64);
  }

  void run() {
    const char* p = text_.data();
    const char* const end = p + text_.size();
    while (p < end) {
      if (write_ == start_) p = plain_words(p, end);
      if (p == end) break;
      char c = kBytes[uint8_t(*p)];
      if (c > 2) {
        begin(p);
        char* out = words_.text_.data() + write_;
        do *out++ = c;
        while (++p < end && (c = kBytes[uint8_t(*p)]) > 2);
        write_ = uint32_t(out - words_.text_.data());
      } else if (c == 0) {
        finish(p);
        ++p;
      } else if (c == 1) {
        begin(p);
        p = number(p + 1, end);
      } else {
        p = other(p, end);
      }
    }
    finish(end);
  }

 private:
  // Words of ASCII letters between ASCII blanks and punctuation, 32 bytes at a look and without a branch for each length; p is where none has
  // begun. Stops before anything else.
  const char* plain_words(const char* p, const char* end) {
#if defined(__SSE2__)
    while (end - p >= 32) {
      const __m128i front = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)),
                    back = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16));
      const __m128i low_front = _mm_or_si128(front, _mm_set1_epi8(0x20)), low_back = _mm_or_si128(back, _mm_set1_epi8(0x20));
      const uint32_t letters = between(low_front, 'a', 'z') | between(low_back, 'a', 'z') << 16;
      const uint32_t others = between(front, '0', '9') | between(back, '0', '9') << 16 | uint32_t(_mm_movemask_epi8(front)) |
                              uint32_t(_mm_movemask_epi8(back)) << 16;
      const uint32_t parting = ~(letters | others);
      if (letters == UINT32_MAX || others & 1) return p;
      const auto length = uint32_t(__builtin_ctz(~letters));
      if (!(parting >> length & 1)) return p;  // a digit in it, or more than ASCII
      char* const out = words_.text_.data() + write_;
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), low_front);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16), low_back);
      if (length > 0) {
        source_begin_ = uint32_t(p - text_.data());
        const auto source_end = source_begin_ + length;
        const size_t ends = size_t(out[0] - 'a') * 26 + size_t(out[length - 1] - 'a');
        const bool may_split = length <= kLongestSplit && splits_.lengths[ends] >> length & 1;
        const std::string_view parts = may_split ? split_word(splits_, {out, length}) : std::string_view{};
        if (parts.empty())
          word(write_ + length, source_begin_, source_end);
        else
          split(parts, source_end);
        start_ = write_;
      }
      const uint32_t after = ~(parting >> length);
      p += length + (after == 0 ? 32 - length : uint32_t(__builtin_ctz(after)));
    }
#endif
    (void)end;
    return p;
  }
#if defined(__SSE2__)
  // A bit for each byte from first to last, both of them ASCII.
  static uint32_t between(__m128i bytes, char first, char last) {
    const __m128i above = _mm_cmpgt_epi8(bytes, _mm_set1_epi8(char(first - 1))),
                  below = _mm_cmplt_epi8(bytes, _mm_set1_epi8(char(last + 1)));
    return uint32_t(_mm_movemask_epi8(_mm_and_si128(above, below)));
  }
#endif

  void begin(const char* p) {
    if (write_ == start_) source_begin_ = uint32_t(p - text_.data());
  }

  // A run of digits, and one more after a point, is "0". p: after its first digit.
  const char* number(const char* p, const char* end) {
    p = digits(p, end);
    uint32_t c = 0;
    if (p < end) {
      const int n = decode_utf8(p, end, &c);
      if (class_[c] & kIsDecimal) {
        const char* const more = digits(p + n, end);
        if (more != p + n) p = more;
      }
    }
    words_.text_[write_++] = '0';
    digit_ = true;
    return p;
  }
  const char* digits(const char* p, const char* end) const {
    while (p < end) {
      uint32_t c = 0;
      const int n = decode_utf8(p, end, &c);
      if (!(class_[c] & kIsDigit)) break;
      p += n;
    }
    return p;
  }

  const char* other(const char* p, const char* end) {
    uint32_t c = 0;
    const int n = decode_utf8(p, end, &c);
    uint16_t k = class_[c];
    if (k & kIsDigit) {
      begin(p);
      return number(p + n, end);
    }
    if (k & (kIsPunctuation | kIsBlank)) return finish(p), p + n;
    if (options_.characters && k & kStandsAlone) {
      if (k & kIsMark) return p + n;
      finish(p);
      begin(p);
      put(c, k);
      if (write_ != start_) word(write_, uint32_t(p - text_.data()), uint32_t(p + n - text_.data()));
      start_ = write_;
      return p + n;
    }
    begin(p);
    ascii_ = false;
    if (k & kHasLower) {
      c = c == kSigma && final_sigma(p) ? kFinalSigma : lower(c);
      k = class_[c];
      // A capital that is no punctuation, digit or blank becomes none either.
    } else if (c == kDottedI) {
      c = 'i';  // and a dot above, which is a mark
      k = 0;
    }
    put(c, k);
    return p + n;
  }

  // Decomposes and drops marks.
  void put(uint32_t c, uint16_t k) {
    if (k & kIsMark) return;
    if (!(k & kDecomposes)) return append(c);
    if (c >= kHangulFirst && c <= kHangulLast) {
      const uint32_t s = c - kHangulFirst, t = s % 28;
      append(0x1100 + s / 588);
      append(0x1161 + s % 588 / 28);
      if (t != 0) append(0x11A7 + t);
      return;
    }
    const auto* d =
        std::lower_bound(std::begin(kDecomposed), std::end(kDecomposed), c, [](const auto& row, uint32_t x) { return row[0] < x; });
    for (int i = 1; i < 4 && (*d)[i] != 0; ++i) append((*d)[i]);
  }
  void append(uint32_t c) {
    char* const out = words_.text_.data() + write_;
    if (c < 0x80) {
      out[0] = char(c);
      write_ += 1;
    } else if (c < 0x800) {
      out[0] = char(0xC0 | c >> 6);
      out[1] = char(0x80 | (c & 0x3F));
      write_ += 2;
    } else {
      one_.clear();
      append_utf8(one_, c);
      std::memcpy(out, one_.data(), one_.size());
      write_ += uint32_t(one_.size());
    }
  }

  // Unicode's Final_Sigma: a cased letter before it and none after, those that case ignores left out.
  bool final_sigma(const char* p) const {
    const char* const first = text_.data();
    const char* const end = first + text_.size();
    bool before = false;
    for (const char* q = p; q > first;) {
      do --q;
      while (q > first && (uint8_t(*q) & 0xC0) == 0x80);
      uint32_t c = 0;
      decode_utf8(q, end, &c);
      if (class_[c] & kIsCaseIgnorable) continue;
      before = class_[c] & kIsCased;
      break;
    }
    if (!before) return false;
    for (const char* q = p + 2; q < end;) {
      uint32_t c = 0;
      q += decode_utf8(q, end, &c);
      if (class_[c] & kIsCaseIgnorable) continue;
      return !(class_[c] & kIsCased);
    }
    return true;
  }

  // Ends a word whose bytes stand already.
  void word(uint32_t end, uint32_t source_begin, uint32_t source_end) {
    words_.ends_.push_back(end);
    if (options_.sources) words_.sources_.emplace_back(source_begin, source_end);
    words_.text_[end] = ' ';
    write_ = end + 1;
  }

  void finish(const char* p) {
    if (write_ == start_) return;
    const auto source_end = uint32_t(p - text_.data());
    const char* const chunk = &words_.text_[start_];
    const auto length = write_ - start_;
    if (!ascii_ || (digit_ && may_end_in_unit(chunk, length))) {
      affixes(std::string(chunk, length), source_end);
    } else {
      const std::string_view parts = split_word(splits_, {chunk, length});
      if (parts.empty())
        word(write_, source_begin_, source_end);
      else
        split(parts, source_end);
    }
    start_ = write_;
    ascii_ = true;
    digit_ = false;
  }

  // One to four letters after the last digit: no unit of ASCII letters has more.
  static bool may_end_in_unit(const char* chunk, uint32_t length) {
    uint32_t letters = 0;
    while (letters < length && chunk[length - 1 - letters] > '9') ++letters;
    return letters > 0 && letters <= 4;
  }

  // `parts` with blanks between them, written from start_ on.
  void split(std::string_view parts, uint32_t source_end) {
    std::memcpy(&words_.text_[start_], parts.data(), parts.size());
    for (size_t i = 0; i <= parts.size(); ++i) {
      if (i < parts.size() && parts[i] != ' ') continue;
      word(start_ + uint32_t(i), source_begin_, source_end);
    }
  }

  void emit(std::string_view token, uint32_t source_end) {
    std::memcpy(&words_.text_[write_], token.data(), token.size());
    word(write_ + uint32_t(token.size()), source_begin_, source_end);
  }

  // spaCy's Tokenizer._split_affixes and _attach_tokens for what can still stand in a word here.
  void affixes(const std::string& chunk, uint32_t source_end) {
    write_ = start_;
    points_.clear();
    for (const char *p = chunk.data(), *end = p + chunk.size(); p < end;) {
      uint32_t c = 0;
      const int n = decode_utf8(p, end, &c);
      points_.push_back({c, uint32_t(p - chunk.data()), uint32_t(p - chunk.data()) + uint32_t(n)});
      p += n;
    }
    size_t first = 0, last = points_.size(), size = 0;
    const auto text = [&](size_t a, size_t b) {
      return a < b ? std::string_view(chunk).substr(points_[a].at, points_[b - 1].end - points_[a].at) : std::string_view{};
    };
    suffixes_.clear();
    while (first < last && last - first != size) {
      if (is_special(text(first, last))) break;
      size = last - first;
      const size_t prefix = class_[points_[first].c] & kIsPrefix ? 1 : 0;
      if (prefix != 0 && is_special(text(first + 1, last))) {
        emit(text(first, first + 1), source_end);
        ++first;
        break;
      }
      const size_t suffix = suffix_of(chunk, first + prefix, last);
      if (suffix != 0 && is_special(text(first, last - suffix))) {
        suffixes_.push_back(text(last - suffix, last));
        last -= suffix;
        break;
      }
      if (prefix != 0) emit(text(first, first + 1), source_end);
      if (suffix != 0) suffixes_.push_back(text(last - suffix, last));
      first += prefix;
      last -= suffix;
    }
    if (first < last) middle(text, first, last, source_end);
    for (auto it = suffixes_.rbegin(); it != suffixes_.rend(); ++it) emit(*it, source_end);
  }

  size_t suffix_of(const std::string& chunk, size_t first, size_t last) const {
    if (first >= last) return 0;
    const uint16_t k = class_[points_[last - 1].c];
    if (k & kIsSuffix) return 1;
    const auto after_digit = [&](size_t i) { return i > first && points_[i - 1].c >= '0' && points_[i - 1].c <= '9'; };
    const std::string_view text = std::string_view(chunk).substr(points_[first].at, points_[last - 1].end - points_[first].at);
    // The first place from the left at which any of them matches, as a search does.
    for (const std::string_view unit : kUnits) {
      if (!text.ends_with(unit)) continue;
      size_t i = last;
      while (i > first && points_[i - 1].at >= points_[last - 1].end - unit.size()) --i;
      if (after_digit(i)) return last - i;
    }
    return k & kIsSuffixAfterDigit && after_digit(last - 1) ? 1 : 0;
  }

  template <class Text>
  void middle(const Text& text, size_t first, size_t last, uint32_t source_end) {
    if (const std::string_view parts = split_word(text(first, last)); !parts.empty()) {
      for (size_t i = 0; i < parts.size();) {
        const size_t blank = std::min(parts.find(' ', i), parts.size());
        emit(parts.substr(i, blank - i), source_end);
        i = blank + 1;
      }
      return;
    }
    if (is_special(text(first, last))) return emit(text(first, last), source_end);
    size_t begin = first;
    for (size_t i = first; i < last; ++i) {
      const uint32_t c = points_[i].c;
      const auto letter = [&](size_t j) { return class_[points_[j].c] & kIsInfixLetter; };
      const auto number = [&](size_t j) { return points_[j].c >= '0' && points_[j].c <= '9'; };
      const bool sign =
          (c == '<' || c == '=' || c == '>') && i > first && i + 1 < last && (letter(i - 1) || number(i - 1)) && letter(i + 1);
      if (!(class_[c] & kIsInfix) && !sign) continue;
      if (i == first) continue;  // stays with what follows
      if (i != begin) emit(text(begin, i), source_end);
      emit(text(i, i + 1), source_end);
      begin = i + 1;
    }
    if (begin < last) emit(text(begin, last), source_end);
  }

  std::string_view text_;
  const WordOptions& options_;
  Words& words_;
  const uint16_t* class_;
  const SplitTable& splits_ = split_table();
  uint32_t start_ = 0, write_ = 0;  // of the chunk
  uint32_t source_begin_ = 0;
  bool ascii_ = true, digit_ = false;
  std::string one_;
  std::vector<Point> points_;
  std::vector<std::string_view> suffixes_;
};

void append_lower(std::string& out, std::string_view characters) {
  for (const char *p = characters.data(), *end = p + characters.size(); p < end;) {
    uint32_t c = 0;
    const int n = decode_utf8(p, end, &c);
    if (c == kDottedI)
      out += "i\xCC\x87";
    else if (classes()[c] & kHasLower)
      append_utf8(out, lower(c));
    else
      out.append(p, size_t(n));
    p += n;
  }
}

void Words::assign(std::string_view text, const WordOptions& options) {
  WordMaker(text, options, *this).run();
}

}  // namespace r1::corpus
