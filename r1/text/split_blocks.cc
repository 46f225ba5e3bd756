#include "r1/text/split_blocks.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace r1::text {

#if defined(__x86_64__)
namespace {

// Bit i of each mask: byte i is one of these. `other` is what the patterns call neither space nor letter nor number.
struct Masks {
  uint64_t letter, number, space, newline, blank;  // blank: U+0020; space: whitespace that is no newline
  uint64_t other, unknown;                         // unknown: not ASCII, or a control character where the rules don't take them as `other`
};

uint64_t below(unsigned n) {
  return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1;
}

// Numbers in pieces of up to three, counted from the start of each run. Runs of four and more are rare.
[[gnu::always_inline]] inline uint64_t number_starts(uint64_t number) {
  uint64_t starts = number & ~(number << 1);
  for (uint64_t fourth = number & number << 1 & number << 2 & number << 3; fourth != 0;) {
    const auto at = unsigned(__builtin_ctzll(fourth));
    starts |= uint64_t{1} << at;
    // The digit three behind a start is one too, if it is of the run.
    fourth &= ~(uint64_t{7} << at);
  }
  return starts;
}

// Apostrophes that begin a piece and a letter or two after them, 's 't 'm 'd 're 've 'll: what follows starts a piece of its own. Gives
// the letters that belong to them and the places after them.
struct Contractions {
  uint64_t letters = 0, after = 0;
};
template <bool kIgnoreCase>
[[gnu::always_inline]] inline Contractions contractions(const char* p, uint64_t apostrophes) {
  Contractions found;
  for (apostrophes &= below(61); apostrophes != 0; apostrophes &= apostrophes - 1) {
    const auto at = unsigned(__builtin_ctzll(apostrophes));
    const auto letter = [&](unsigned i) { return kIgnoreCase ? p[at + i] | 32 : int(p[at + i]); };
    const int a = letter(1), b = letter(2);
    const bool one = a == 's' || a == 't' || a == 'm' || a == 'd';
    const bool two = (b == 'e' && (a == 'r' || a == 'v')) || (a == 'l' && b == 'l');
    if (!one && !two) continue;
    found.letters |= uint64_t{1} << (at + 1);
    found.after |= uint64_t{1} << (at + (one ? 2 : 3));
  }
  return found;
}

// Whitespace: `\s*[\r\n]+|\s+(?!\S)|\s+` inside of runs. The last space before a character of `kept` stays for the piece after it.
[[gnu::always_inline]] inline uint64_t space_starts(const Masks& m, uint64_t kept, unsigned known) {
  uint64_t starts = m.space & m.space << 1 & kept >> 1;
  uint64_t after_newline = m.space & m.newline << 1;
  if (after_newline == 0) return starts;
  // Runs after a newline by their ends: one that ends in a newline is no start, unless the newlines before it went to the `other`s there.
  for (uint64_t ends = (m.space + after_newline) & m.newline & ~m.space; ends != 0; ends &= ends - 1) {
    const uint64_t end = ends & -ends, runs = after_newline & (end - 1);
    const uint64_t run = runs == 0 ? 0 : uint64_t{1} << (63 - __builtin_clzll(runs));
    if (run == 0) continue;
    const uint64_t before = ~m.newline & (run - 1);
    const bool taken = before != 0 && (m.other >> (63 - __builtin_clzll(before)) & 1) != 0;
    if (!taken) after_newline &= ~run;
  }
  // Nobody knows yet what the last run ends in.
  if (m.space >> (known - 1) & 1) {
    const uint64_t before = ~m.space & below(known);
    const unsigned run = before == 0 ? 0 : 64 - unsigned(__builtin_clzll(before));
    after_newline &= below(run);
  }
  return starts | after_newline;
}

template <SplitRules kRules>
[[gnu::always_inline]] inline Starts starts_of(const char* p, Masks m) {
  const bool all = m.unknown == 0;
  const unsigned known = all ? 64 : unsigned(__builtin_ctzll(m.unknown));
  if (known < 2) return {0, all};
  const uint64_t in = below(known);
  m.letter &= in, m.number &= in, m.space &= in, m.newline &= in, m.blank &= in;
  m.other = in & ~(m.letter | m.number | m.space | m.newline);
  const auto after = [](uint64_t mask) { return mask << 1; };
  uint64_t starts = 0;
  if constexpr (kRules == SplitRules::kGpt2) {
    //   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
    const uint64_t white = m.space | m.newline, visible = in & ~white;
    const auto first_of = [&](uint64_t run) { return run & ~after(run | m.blank); };
    starts = first_of(m.letter) | first_of(m.number) | first_of(m.other) | (white & ~after(white)) | (white & after(white) & visible >> 1);
    uint64_t apostrophes = 0;
    for (uint64_t o = m.other & ~after(m.other | m.blank) & m.letter >> 1; o != 0; o &= o - 1)
      if (p[__builtin_ctzll(o)] == '\'') apostrophes |= o & -o;
    const Contractions c = contractions<false>(p, apostrophes);
    starts = (starts & ~c.letters) | (c.after & m.letter);
    if (const uint64_t undecided = apostrophes & ~below(61)) starts &= (undecided & -undecided) * 2 - 1;
  } else {
    //   [^\r\n\p{L}\p{N}]?\p{L}+|NUMBER| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
    // and DeepSeek's, where a number ends what the whitespace before it sees.
    constexpr bool kDeepSeek = kRules == SplitRules::kDeepSeek;
    starts = kRules == SplitRules::kQwen2 ? m.number : number_starts(m.number);
    // A letter after one other goes with it, unless that went with a blank or with others before it.
    starts |= m.letter & (after(m.newline | m.number) | (after(m.other) & (m.other | m.blank) << 2));
    const uint64_t solid = m.letter | m.number | m.other;
    starts |= m.space & after(solid);
    starts |= space_starts(m, kDeepSeek ? m.letter | m.other : solid, known);
    starts |= m.newline & after(m.letter | m.number);
    starts |= m.other & after(m.letter | m.number | m.newline | (m.space & ~m.blank));
    if constexpr (!kDeepSeek) {
      uint64_t apostrophes = 0;
      for (uint64_t o = m.other & ~after(m.other | m.blank) & m.letter >> 1; o != 0; o &= o - 1)
        if (p[__builtin_ctzll(o)] == '\'') apostrophes |= o & -o;
      starts |= contractions<true>(p, apostrophes).after & m.letter;
    }
  }
  return {starts & ~uint64_t{1}, all};
}

// Signed comparisons: what is looked for is moved to the least values of a byte.
template <SplitRules kRules>
Starts starts_sse2(const char* p) {
  Masks m{};
  const auto all = [](char c) { return _mm_set1_epi8(c); };
  for (int i = 0; i < 4; ++i) {
    const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p) + i);
    const auto bits = [&](__m128i mask) { return uint64_t(uint32_t(_mm_movemask_epi8(mask))) << (16 * i); };
    const auto within = [&](__m128i x, char first, int n) {
      return _mm_cmplt_epi8(_mm_sub_epi8(x, all(char(first + 128))), all(char(n - 128)));
    };
    const __m128i blank = _mm_cmpeq_epi8(c, all(' '));
    m.letter |= bits(within(_mm_or_si128(c, all(0x20)), 'a', 26));
    m.number |= bits(within(c, '0', 10));
    m.newline |= bits(_mm_or_si128(_mm_cmpeq_epi8(c, all('\n')), _mm_cmpeq_epi8(c, all('\r'))));
    m.blank |= bits(blank);
    m.space |= bits(_mm_or_si128(blank, within(c, '\t', 5)));
    m.unknown |= bits(c);
    if constexpr (kRules == SplitRules::kDeepSeek) m.other |= bits(_mm_or_si128(within(c, 0, 32), _mm_cmpeq_epi8(c, all(127))));
  }
  m.unknown |= m.other & ~m.space;  // control characters, so far
  m.space &= ~m.newline;
  return starts_of<kRules>(p, m);
}

template <SplitRules kRules>
__attribute__((target("avx2,bmi,bmi2,lzcnt"))) Starts starts_avx2(const char* p) {
  Masks m{};
  for (int i = 0; i < 2; ++i) {
    const __m256i c = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p) + i);
    const int at = 32 * i;
    const __m256i least = _mm256_set1_epi8(-128);
    const __m256i lower = _mm256_sub_epi8(_mm256_or_si256(c, _mm256_set1_epi8(0x20)), _mm256_set1_epi8(char('a' + 128)));
    const __m256i digit = _mm256_sub_epi8(c, _mm256_set1_epi8(char('0' + 128))),
                  tab = _mm256_sub_epi8(c, _mm256_set1_epi8(char('\t' + 128)));
    const __m256i blank = _mm256_cmpeq_epi8(c, _mm256_set1_epi8(' '));
    const __m256i newline = _mm256_or_si256(_mm256_cmpeq_epi8(c, _mm256_set1_epi8('\n')), _mm256_cmpeq_epi8(c, _mm256_set1_epi8('\r')));
    const __m256i white = _mm256_or_si256(blank, _mm256_cmpgt_epi8(_mm256_set1_epi8(5 - 128), tab));
    m.letter |= uint64_t(uint32_t(_mm256_movemask_epi8(_mm256_cmpgt_epi8(_mm256_set1_epi8(26 - 128), lower)))) << at;
    m.number |= uint64_t(uint32_t(_mm256_movemask_epi8(_mm256_cmpgt_epi8(_mm256_set1_epi8(10 - 128), digit)))) << at;
    m.newline |= uint64_t(uint32_t(_mm256_movemask_epi8(newline))) << at;
    m.blank |= uint64_t(uint32_t(_mm256_movemask_epi8(blank))) << at;
    m.space |= uint64_t(uint32_t(_mm256_movemask_epi8(white))) << at;
    m.unknown |= uint64_t(uint32_t(_mm256_movemask_epi8(c))) << at;
    if constexpr (kRules == SplitRules::kDeepSeek) {
      const __m256i control = _mm256_cmpgt_epi8(_mm256_set1_epi8(32 - 128), _mm256_add_epi8(c, least));
      m.other |= uint64_t(uint32_t(_mm256_movemask_epi8(_mm256_or_si256(control, _mm256_cmpeq_epi8(c, _mm256_set1_epi8(127)))))) << at;
    }
  }
  m.unknown |= m.other & ~m.space;  // control characters, so far
  m.space &= ~m.newline;
  return starts_of<kRules>(p, m);
}

template <SplitRules kRules>
FindStarts with_rules(SplitWith with) {
  return with == SplitWith::kAvx2 ? starts_avx2<kRules> : starts_sse2<kRules>;
}

}  // namespace
#endif

bool can_split_with(SplitWith with) {
#if defined(__x86_64__)
  if (with == SplitWith::kAvx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("lzcnt");
  if (with == SplitWith::kSse2) return true;
#endif
  return with == SplitWith::kPlain || with == SplitWith::kBest;
}

FindStarts find_starts(SplitRules rules, SplitWith with) {
#if defined(__x86_64__)
  static const bool avx2 = can_split_with(SplitWith::kAvx2);
  if (with == SplitWith::kPlain) return nullptr;
  if (with == SplitWith::kBest) with = avx2 ? SplitWith::kAvx2 : SplitWith::kSse2;
  switch (rules) {
    case SplitRules::kGpt2:
      return with_rules<SplitRules::kGpt2>(with);
    case SplitRules::kQwen2:
      return with_rules<SplitRules::kQwen2>(with);
    case SplitRules::kLlama3:
      return with_rules<SplitRules::kLlama3>(with);
    case SplitRules::kDeepSeek:
      return with_rules<SplitRules::kDeepSeek>(with);
  }
#endif
  static_cast<void>(rules);
  static_cast<void>(with);
  return nullptr;
}

}  // namespace r1::text
