#include "r1/corpus/words.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "r1/text/unicode.h"

namespace r1::corpus {
namespace {

using text::char_flags;

// One code point at a time, from either end.
struct Char {
  uint32_t cp = kInvalidChar;
  uint32_t size = 0;  // 0: there is none
};
Char first_char(std::string_view s) {
  Char c;
  if (s.empty()) return c;
  if (uint8_t(s[0]) < 0x80) return {uint8_t(s[0]), 1};
  c.size = uint32_t(decode_utf8(s.data(), s.data() + s.size(), &c.cp));
  return c;
}
Char last_char(std::string_view s) {
  if (s.empty()) return {};
  if (uint8_t(s.back()) < 0x80) return {uint8_t(s.back()), 1};
  for (uint32_t n = 2; n <= 4 && n <= s.size(); ++n) {
    const Char c = first_char(s.substr(s.size() - n));
    if (c.size == n) return c;
  }
  return {kInvalidChar, 1};
}

bool is_letter(uint32_t cp) {
  return char_flags()[cp] & text::kLetter;
}
bool is_upper(uint32_t cp) {
  if (cp < 0x80) return cp >= 'A' && cp <= 'Z';
  static const text::RangeSet ranges = [] {
    text::RangeSet set;
    text::category_ranges("Lu", &set);
    return set;
  }();
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), cp, [](uint32_t c, const text::Range& r) { return c < r.first; });
  return after != ranges.begin() && cp <= std::prev(after)->last;
}
bool is_digit(uint32_t cp) {
  return cp >= '0' && cp <= '9';
}
bool is_punctuation(uint32_t cp) {
  if (cp < 0x80) return cp > ' ' && cp < 0x7F && !is_letter(cp) && !is_digit(cp);
  return char_flags()[cp] & text::kPunctSymbol;
}
// Separates at the beginning and at the end of a chunk. What has a meaning with its neighbour is not among them: + - / @ \ ^ | ~ $ of a number.
bool is_edge(uint32_t cp) {
  if (cp >= 0x80) return is_punctuation(cp);
  return cp < 0x7F && std::strchr("!\"#&'()*,:;<=>?[]_`{}%", int(cp)) != nullptr && cp != 0;
}

constexpr std::string_view kAbbreviations[] = {
    "a.m.", "Adm.",  "Apr.",  "Ave.",  "Aug.",  "Bros.", "Calif.", "Capt.", "Co.",   "Col.",   "Conn.", "Corp.", "Dec.",
    "Dr.",  "Feb.",  "Fla.",  "Ga.",   "Gen.",  "Gov.",  "Inc.",   "Jan.",  "Jr.",   "Jul.",   "Jun.",  "Kan.",  "Lt.",
    "Ltd.", "Mar.",  "Mass.", "Md.",   "Mich.", "Minn.", "Miss.",  "Mr.",   "Mrs.",  "Ms.",    "Mt.",   "N.Y.",  "Nov.",
    "Oct.", "Pa.",   "Ph.D.", "Prof.", "Rep.",  "Rev.",  "Sen.",   "Sep.",  "Sept.", "Sr.",    "St.",   "Tenn.", "U.S.",
    "Va.",  "Wash.", "Wis.",  "co.",   "e.g.",  "i.e.",  "p.m.",   "vs.",   "v.s.",  "Messrs."};
bool is_abbreviation(std::string_view chunk) {
  return std::find(std::begin(kAbbreviations), std::end(kAbbreviations), chunk) != std::end(kAbbreviations);
}

bool is_address(std::string_view chunk) {
  return chunk.find("://") != std::string_view::npos || chunk.starts_with("www.") ||
         (chunk.find('@') != std::string_view::npos && chunk.find('@') > 0 && chunk.find('.', chunk.find('@')) != std::string_view::npos);
}

std::string_view bare_clitic(std::string_view chunk) {
  struct Ending {
    std::string_view text;
    size_t apostrophe;  // bytes before what makes it one
  };
  static constexpr Ending kEndings[] = {{"'s", 2}, {"’s", 4}, {"'S", 2}, {"’S", 4}};
  for (const Ending& e : kEndings)
    if (chunk.size() > e.text.size() && chunk.ends_with(e.text)) return chunk.substr(chunk.size() - e.text.size());
  // Of pronouns and auxiliaries only: "don't", "they're", "she'll".
  static constexpr std::string_view kClitics[] = {"n't", "n’t", "'ll", "’ll", "'re", "’re", "'ve", "’ve", "'d", "’d", "'m", "’m"};
  for (const std::string_view clitic : kClitics)
    if (chunk.size() > clitic.size() && chunk.size() < 14 && chunk.ends_with(clitic) &&
        is_letter(last_char(chunk.substr(0, chunk.size() - clitic.size())).cp))
      return chunk.substr(chunk.size() - clitic.size());
  return {};
}

class Splitter {
 public:
  explicit Splitter(std::vector<std::string_view>& words) : words_(words) {}

  void chunk(std::string_view c) {
    if (std::all_of(c.begin(), c.end(), [](char b) { return uint8_t(b) < 0x80 && (is_letter(uint8_t(b)) || is_digit(uint8_t(b))); })) {
      words_.push_back(c);
      return;
    }
    c = strip_beginning(c);
    const size_t before = endings_.size();
    c = strip_end(c);
    if (!c.empty()) middle(c);
    for (; endings_.size() > before; endings_.pop_back()) words_.push_back(endings_.back());
  }

 private:
  // Words at the beginning of `c`; what is left.
  std::string_view strip_beginning(std::string_view c) {
    while (!c.empty()) {
      if (is_abbreviation(c) || is_clitic_alone(c)) return c;
      const Char first = first_char(c);
      size_t n = 0;
      if (c.starts_with("..")) {
        n = std::min(c.find_first_not_of('.'), c.size());
      } else if (is_edge(first.cp) || (first.cp == '$' && c.size() > 1) || (first.cp == '+' && !is_digit(first_char(c.substr(1)).cp))) {
        n = first.size;
      }
      if (n == 0 || n == c.size()) return c;
      words_.push_back(c.substr(0, n));
      c.remove_prefix(n);
    }
    return c;
  }

  std::string_view strip_end(std::string_view c) {
    while (!c.empty()) {
      if (is_abbreviation(c) || is_clitic_alone(c)) return c;
      const Char last = last_char(c);
      size_t n = 0;
      if (c.ends_with("..")) {
        const size_t dots = c.find_last_not_of('.');
        n = dots == std::string_view::npos ? 0 : c.size() - dots - 1;
      } else if (last.cp == '.') {
        const std::string_view rest = c.substr(0, c.size() - 1);
        const Char one = last_char(rest);
        const Char two = last_char(rest.substr(0, rest.size() - one.size));
        const bool ends_word = is_digit(one.cp) || (is_letter(one.cp) && !is_upper(one.cp)) ||
                               (one.cp != '.' && one.size > 0 && !is_letter(one.cp)) ||
                               (is_upper(one.cp) && two.size > 0 && is_upper(two.cp));
        // "e.g." and the like: letters between dots.
        const bool dotted = one.size > 0 && two.cp == '.';
        n = ends_word && !(dotted && is_letter(one.cp)) ? 1 : 0;
      } else if (is_edge(last.cp)) {
        n = last.size;
      } else if (const std::string_view clitic = bare_clitic(c); !clitic.empty()) {
        n = clitic.size();
      }
      if (n == 0 || n == c.size()) return c;
      endings_.push_back(c.substr(c.size() - n));
      c.remove_suffix(n);
    }
    return c;
  }

  static bool is_clitic_alone(std::string_view c) {
    return c == "'s" || c == "’s" || c == "'S" || c == "'m" || c == "'re" || c == "'ll" || c == "'ve" || c == "'d" || c == "n't";
  }

  // Hyphens and the like between letters.
  void middle(std::string_view c) {
    if (is_address(c)) {
      words_.push_back(c);
      return;
    }
    size_t begin = 0;
    for (size_t i = 0; i < c.size();) {
      const Char here = first_char(c.substr(i));
      if (i == begin || i + here.size >= c.size() || here.cp == '.' ||
          (here.cp < 0x80 && (is_letter(here.cp) || is_digit(here.cp) || here.cp == '\''))) {
        i += here.size;
        continue;
      }
      const uint32_t before = last_char(c.substr(0, i)).cp, after = first_char(c.substr(i + here.size)).cp;
      size_t n = 0;
      if (c.substr(i).starts_with("--") || here.cp == 0x2013 || here.cp == 0x2014) {
        size_t end = i;
        while (end < c.size() && (c[end] == '-' || c.substr(end).starts_with("\u2014") || c.substr(end).starts_with("\u2013")))
          end += c[end] == '-' ? 1 : 3;
        if (is_letter(before) && end < c.size() && is_letter(first_char(c.substr(end)).cp)) n = end - i;
      } else if (here.cp == '-') {
        if (is_letter(before) && is_letter(after)) n = 1;
      } else if (here.cp == ',') {
        if (is_letter(before) && is_letter(after)) n = 1;
      } else if (here.cp < 0x80 && std::strchr(":<>=/", int(here.cp)) != nullptr) {
        if ((is_letter(before) || is_digit(before)) && is_letter(after)) n = 1;
      } else if (here.cp < 0x80 && std::strchr("+*^", int(here.cp)) != nullptr) {
        if (is_digit(before) && (is_digit(after) || after == '-')) n = 1;
      } else if (here.cp == 0x2026) {
        n = here.size;
      }
      if (n == 0) {
        i += here.size;
        continue;
      }
      words_.push_back(c.substr(begin, i - begin));
      words_.push_back(c.substr(i, n));
      begin = i = i + n;
    }
    if (begin < c.size()) words_.push_back(c.substr(begin));
  }

  std::vector<std::string_view>& words_;
  std::vector<std::string_view> endings_;
};

}  // namespace

bool is_white(uint32_t cp) {
  if (cp < 0x80) return cp == ' ' || (cp >= '\t' && cp <= '\r') || (cp >= 0x1C && cp <= 0x1F);
  return cp == 0x85 || cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F ||
         cp == 0x205F || cp == 0x3000;
}

std::string_view strip_left(std::string_view text) {
  for (Char c; (c = first_char(text)).size > 0 && is_white(c.cp);) text.remove_prefix(c.size);
  return text;
}
std::string_view strip_right(std::string_view text) {
  for (Char c; (c = last_char(text)).size > 0 && is_white(c.cp);) text.remove_suffix(c.size);
  return text;
}

std::vector<std::string_view> split_at_white(std::string_view text) {
  std::vector<std::string_view> parts;
  size_t begin = 0, at = 0;
  while (at < text.size()) {
    const Char c = first_char(text.substr(at));
    if (is_white(c.cp)) {
      if (at > begin) parts.push_back(text.substr(begin, at - begin));
      begin = at + c.size;
    }
    at += c.size;
  }
  if (at > begin) parts.push_back(text.substr(begin));
  return parts;
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  words.reserve(text.size() / 5 + 1);
  Splitter splitter(words);
  for (const std::string_view chunk : split_at_white(text)) splitter.chunk(chunk);
  return words;
}

int64_t count_sentences(std::string_view line) {
  const auto ends = [](std::string_view word) {
    return word == "." || word == "!" || word == "?" || word == "…" || word == "。" || word == "！" || word == "？" || word == "｡" ||
           word == "।" || word == "؟" || word == "۔";
  };
  const auto all_punctuation = [](std::string_view word) {
    for (size_t i = 0; i < word.size();) {
      const Char c = first_char(word.substr(i));
      // Symbols of ASCII are punctuation to no one here: $ + < = > ^ ` | ~
      if (!is_punctuation(c.cp) || (c.cp < 0x80 && std::strchr("$+<=>^`|~", int(c.cp)))) return false;
      i += c.size;
    }
    return true;
  };
  int64_t sentences = 0;
  bool ended = true;
  for (const std::string_view word : split_words(line)) {
    if (ends(word)) {
      if (sentences == 0) sentences = 1;
      ended = true;
    } else if (ended && (sentences == 0 || !all_punctuation(word))) {
      ++sentences;
      ended = false;
    }
  }
  return sentences;
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const Char c = first_char(text.substr(at));
    const bool ends = (c.cp >= '\n' && c.cp <= '\r') || (c.cp >= 0x1C && c.cp <= 0x1E) || c.cp == 0x85 || c.cp == 0x2028 || c.cp == 0x2029;
    if (!ends) {
      at += c.size;
      continue;
    }
    lines.push_back(text.substr(begin, at - begin));
    at += c.size;
    if (c.cp == '\r' && at < text.size() && text[at] == '\n') ++at;
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

int64_t count_chars(std::string_view text) {
  int64_t chars = 0;
  for (size_t i = 0; i < text.size(); ++chars) i += uint8_t(text[i]) < 0x80 ? 1 : first_char(text.substr(i)).size;
  return chars;
}

}  // namespace r1::corpus
