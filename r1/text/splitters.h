// The pre-tokenizer patterns of the published vocabularies, by hand: one pass over the bytes, each piece handed to a sink. They mean
// exactly what the regexes named at each of them mean (tests compare them with PCRE2 and, through the oracle, with Oniguruma); the regex
// engine is for every other pattern. Plain ASCII goes through split_blocks.h.
//
// A byte that is no valid UTF-8 counts as an unassigned character.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "r1/text/split_blocks.h"
#include "r1/text/unicode.h"

namespace r1::text {

// Past the ASCII letters from p on: most of a text, so many at a time.
[[gnu::always_inline]] inline const char* ascii_letters_end(const char* p, const char* end) {
#if defined(__SSE2__)
  while (end - p >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    // Lower case moved so that a to z are the 26 least signed bytes.
    const __m128i moved = _mm_sub_epi8(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), _mm_set1_epi8(char('a' + 128)));
    const auto letters = unsigned(_mm_movemask_epi8(_mm_cmplt_epi8(moved, _mm_set1_epi8(26 - 128))));
    if (letters != 0xFFFF) return p + __builtin_ctz(~letters);
    p += 16;
  }
#endif
  while (p < end && unsigned(uint8_t(*p) | 32) - 'a' < 26) ++p;
  return p;
}

// Reads characters and their classes.
class Cursor {
 public:
  struct Char {
    uint32_t cp = 0;
    uint8_t flags = 0;
    uint8_t length = 0;  // 0: the end
  };
  Cursor(const char* end, const uint8_t* flags) : end_(end), flags_(flags) {}
  [[gnu::always_inline]] Char at(const char* p) const {
    if (p >= end_) return {};
    const uint8_t b = uint8_t(*p);
    if (b < 0x80) return {b, flags_[b], 1};
    return wide_at(p);
  }
  const char* end() const { return end_; }
  [[gnu::always_inline]] const char* letters_end(const char* p) const { return ascii_letters_end(p, end_); }

 private:
  [[gnu::noinline]] Char wide_at(const char* p) const {
    uint32_t cp;
    const int n = decode_utf8(p, end_, &cp);
    return {cp, flags_[cp], uint8_t(n)};
  }
  const char* end_;
  const uint8_t* flags_;
};

inline bool is_newline(uint32_t cp) {
  return cp == '\n' || cp == '\r';
}

// 's 't 're 've 'm 'll 'd after an apostrophe at p; the length with the apostrophe, or 0. The case-blind form also takes U+017F for s, as
// Oniguruma does.
template <bool kIgnoreCase>
inline int contraction_length(const char* p, const char* end) {
  const auto byte = [&](int i) -> int {
    if (p + i >= end) return 0;
    const int b = uint8_t(p[i]);
    return kIgnoreCase && b >= 'A' && b <= 'Z' ? b | 32 : b;
  };
  switch (byte(1)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return byte(2) == 'e' ? 3 : 0;
    case 'l':
      return byte(2) == 'l' ? 3 : 0;
    case 0xC5:
      return kIgnoreCase && byte(2) == 0xBF ? 3 : 0;
    default:
      return 0;
  }
}

// Whitespace at p, by   \s*[\r\n]+|\s+(?!\S)|\s+   (kNewlines) or   \s+(?!\S)|\s+ . `cursor` must end where the regex's text ends.
template <bool kNewlines, class View>
inline const char* whitespace_end(const View& view, const char* p) {
  const char *last = p, *after_newline = nullptr;
  for (;;) {
    const auto c = view.at(p);
    if (!(c.flags & kSpace)) {
      if (kNewlines && after_newline) return after_newline;
      if (c.length == 0) return p;  // the end of the text: (?!\S) holds
      // The last space stays for what follows, unless it is alone.
      return last;
    }
    if (kNewlines && is_newline(c.cp)) after_newline = p + c.length;
    last = p;
    p += c.length;
  }
}

// Characters with any of `flags`, from p on.
template <class View>
[[gnu::always_inline]] inline const char* run_end(const View& view, const char* p, uint8_t flags) {
  if (flags & kLetter) p = view.letters_end(p);
  for (;;) {
    const auto c = view.at(p);
    if (!(c.flags & flags)) return p;
    p += c.length;
  }
}

template <class View>
inline const char* other_end(const View& view, const char* p, uint8_t flags) {  // characters with none of `flags`
  for (;;) {
    const auto c = view.at(p);
    if (c.length == 0 || (c.flags & flags)) return p;
    p += c.length;
  }
}

template <class View>
inline const char* newlines_end(const View& view, const char* p) {
  for (;;) {
    const auto c = view.at(p);
    if (c.length == 0 || !is_newline(c.cp)) return p;
    ++p;
  }
}

// GPT-2:   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
template <class View>
inline const char* gpt2_piece_end(const View& view, const char* p) {
  const auto c = view.at(p);
  if (c.cp == '\'') {
    if (const int n = contraction_length<false>(p, view.end())) return p + n;
  }
  const auto next = c.cp == ' ' ? view.at(p + 1) : c;
  const char* const q = c.cp == ' ' ? p + 1 : p;
  if (next.flags & kLetter) return run_end(view, q + next.length, kLetter);
  if (next.flags & kNumber) return run_end(view, q + next.length, kNumber);
  if (next.length && !(next.flags & kSpace)) return other_end(view, q + next.length, kSpace | kLetter | kNumber);
  const char* const e = whitespace_end<false>(view, p);
  return e == p ? p + c.length : e;
}

// Qwen2, Llama 3, Qwen3.5:   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?WORD+|NUMBER| ?[^\s WORD
// \p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ with WORD = \p{L} or [\p{L}\p{M}] (kWord, a mask) and NUMBER = \p{N} or \p{N}{1,3} (kDigits).
template <int kDigits, uint8_t kWord, class View>
inline const char* qwen_piece_end(const View& view, const char* p) {
  const auto c = view.at(p);
  if (c.flags & kLetter) return run_end(view, p + c.length, kWord);
  if (c.cp == '\'') {
    if (const int n = contraction_length<true>(p, view.end())) return p + n;
  }
  if (c.flags & kNumber) {
    const char* q = p + c.length;
    for (int i = 1; i < kDigits; ++i) {
      const auto d = view.at(q);
      if (!(d.flags & kNumber)) break;
      q += d.length;
    }
    return q;
  }
  const auto next = view.at(p + c.length);
  if (!is_newline(c.cp)) {
    if (next.flags & kWord) return run_end(view, p + c.length + next.length, kWord);
    if (c.flags & kWord) return p + c.length;  // a mark alone
  }
  constexpr uint8_t kNotOther = kSpace | kNumber | kWord;
  if (!(c.flags & kSpace)) return newlines_end(view, other_end(view, p + c.length, kNotOther));
  if (c.cp == ' ' && next.length && !(next.flags & kNotOther)) return newlines_end(view, other_end(view, p + 1, kNotOther));
  const char* const e = whitespace_end<true>(view, p);
  return e == p ? p + c.length : e;
}

// A view of one part of the text as an earlier Split left it: characters for which Part says no read as the end. kLetters: it says yes to the
// ASCII letters.
template <bool kLetters, class Part>
class PartView {
 public:
  PartView(const Cursor& cursor, Part part) : cursor_(cursor), part_(part) {}
  [[gnu::always_inline]] Cursor::Char at(const char* p) const {
    const Cursor::Char c = cursor_.at(p);
    return c.length && part_(c) ? c : Cursor::Char{};
  }
  const char* end() const { return cursor_.end(); }
  [[gnu::always_inline]] const char* letters_end(const char* p) const { return kLetters ? cursor_.letters_end(p) : p; }

 private:
  const Cursor& cursor_;
  Part part_;
};

// Pieces by `step`, which says where the one at its place ends, and as far as it goes by masks.
template <class Step, class Sink>
[[gnu::always_inline]] inline void split_by(FindStarts find, const char* p, const char* end, Step step, Sink&& sink) {
  while (p < end) {
    if (find != nullptr && end - p >= 64 && uint8_t(p[0] | p[1]) < 0x80) {
      const Starts found = find(p);
      const char* const block = p;
      for (uint64_t bits = found.bits; bits != 0; bits &= bits - 1) {
        const char* const q = block + __builtin_ctzll(bits);
        sink(p, q);
        p = q;
      }
      if (found.bits != 0 && found.all_ascii) continue;
    }
    const char* const q = step(p);
    sink(p, q);
    p = q;
  }
}

template <class Sink>
void split_gpt2(const char* p, const char* end, Sink&& sink, SplitWith with = SplitWith::kBest) {
  const Cursor view(end, char_flags());
  split_by(
      find_starts(SplitRules::kGpt2, with), p, end, [&](const char* at) { return gpt2_piece_end(view, at); }, sink);
}

template <int kDigits, uint8_t kWord, class Sink>
void split_qwen(const char* p, const char* end, Sink&& sink, SplitWith with = SplitWith::kBest) {
  const Cursor view(end, char_flags());
  const FindStarts find = find_starts(kDigits == 1 ? SplitRules::kQwen2 : SplitRules::kLlama3, with);
  split_by(
      find, p, end, [&](const char* at) { return qwen_piece_end<kDigits, kWord>(view, at); }, sink);
}

// SmolLM2: Digits (each alone), then GPT-2's pattern between them.
template <class Sink>
void split_smollm(const char* p, const char* end, Sink&& sink) {
  const Cursor cursor(end, char_flags());
  const auto not_numeric = [](const Cursor::Char& c) { return !(c.flags & kNumeric); };
  const PartView<true, decltype(not_numeric)> view(cursor, not_numeric);
  while (p < end) {
    const Cursor::Char c = cursor.at(p);
    const char* const q = c.flags & kNumeric ? p + c.length : gpt2_piece_end(view, p);
    sink(p, q);
    p = q;
  }
}

inline bool is_deepseek_cjk(uint32_t cp) {
  return cp - 0x4E00 <= 0x9FA5 - 0x4E00 || cp - 0x3040 <= 0x30FF - 0x3040;
}

inline bool is_ascii_punct(uint32_t cp) {
  return (cp >= 33 && cp <= 47) || (cp >= 58 && cp <= 64) || (cp >= 91 && cp <= 96) || (cp >= 123 && cp <= 126);
}

inline bool is_ascii_letter(uint32_t cp) {
  return (cp | 32) - 'a' < 26;
}

// The third pattern of DeepSeek-V3; nullptr where it doesn't match.
//   [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <class View>
inline const char* deepseek_match_end(const View& view, const char* p) {
  constexpr uint8_t kWord = kLetter | kMark;
  const auto c = view.at(p);
  if (c.flags & kLetter) return run_end(view, p + c.length, kWord);
  const auto next = view.at(p + c.length);
  if (is_ascii_punct(c.cp) && is_ascii_letter(next.cp)) {
    return view.letters_end(p + 2);
  }
  if (!is_newline(c.cp) && !(c.flags & kPunctSymbol)) {
    if (next.flags & kWord) return run_end(view, p + c.length + next.length, kWord);
    if (c.flags & kMark) return p + c.length;
  }
  if (c.flags & kPunctSymbol) return newlines_end(view, run_end(view, p + c.length, kPunctSymbol));
  if (c.cp == ' ' && next.flags & kPunctSymbol) return newlines_end(view, run_end(view, p + 1, kPunctSymbol));
  if (!(c.flags & kSpace)) return nullptr;
  const char* const e = whitespace_end<true>(view, p);
  return e == p ? p + c.length : e;
}

// The piece at p, where its part begins or inside of it: what nothing matches makes one piece up to what does.
template <bool kLetters, class Part>
inline const char* deepseek_part_piece_end(const Cursor& cursor, const char* p, Part part) {
  const PartView<kLetters, Part> view(cursor, part);
  for (const char* const begin = p; view.at(p).length; p += view.at(p).length) {
    const char* const q = deepseek_match_end(view, p);
    if (q != nullptr) return p == begin ? q : p;
  }
  return p;
}

// DeepSeek-V3 and R1:   \p{N}{1,3}   then   [U+4E00-U+9FA5 U+3040-U+30FF]+   then the pattern above, each isolating its matches.
inline const char* deepseek_piece_end(const Cursor& cursor, const char* p) {
  const Cursor::Char c = cursor.at(p);
  if (c.flags & kNumber) {
    const char* q = p + c.length;
    for (int i = 1; i < 3; ++i) {
      const Cursor::Char d = cursor.at(q);
      if (!(d.flags & kNumber)) break;
      q += d.length;
    }
    return q;
  }
  const auto cjk = [](const Cursor::Char& x) { return is_deepseek_cjk(x.cp); };
  const auto rest = [](const Cursor::Char& x) { return !(x.flags & kNumber) && (x.length == 1 || !is_deepseek_cjk(x.cp)); };
  return cjk(c) ? deepseek_part_piece_end<false>(cursor, p, cjk) : deepseek_part_piece_end<true>(cursor, p, rest);
}

template <class Sink>
void split_deepseek(const char* p, const char* end, Sink&& sink, SplitWith with = SplitWith::kBest) {
  const Cursor cursor(end, char_flags());
  split_by(
      find_starts(SplitRules::kDeepSeek, with), p, end, [&](const char* at) { return deepseek_piece_end(cursor, at); }, sink);
}

}  // namespace r1::text
