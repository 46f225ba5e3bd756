#include "r1/corpus/quality.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <unordered_set>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/corpus/words.h"
#include "r1/text/unicode.h"

namespace r1::corpus {
namespace {

using Views = std::vector<std::string_view>;

// What makes a word one of symbols: punctuation as CCNet lists it, and whatever ends a sentence somewhere in the world (Unicode's
// Sentence_Terminal as of version 15). Inclusive ranges, sorted.
constexpr text::Range kSymbols[] = {
    {0x0, 0x8},       {0xB, 0x1F},      {0x21, 0x2F},     {0x3A, 0x40},     {0x5B, 0x60},     {0x7B, 0x9F},     {0xAB, 0xAB},
    {0xB4, 0xB4},     {0xBB, 0xBB},     {0x2013, 0x2014}, {0x2019, 0x2019}, {0x201C, 0x201E}, {0x2026, 0x2026}, {0x2236, 0x2236},
    {0x2501, 0x2501}, {0x25BA, 0x25BA}, {0x3001, 0x3002}, {0x3008, 0x300D}, {0x3010, 0x3011}, {0xFF01, 0xFF01}, {0xFF05, 0xFF05},
    {0xFF08, 0xFF09}, {0xFF0C, 0xFF0C}, {0xFF0E, 0xFF0E}, {0xFF11, 0xFF11}, {0xFF1A, 0xFF1B}, {0xFF1F, 0xFF1F}, {0xFF5E, 0xFF5E}};
constexpr text::Range kSentenceEnds[] = {
    {0x21, 0x21},       {0x2E, 0x2E},       {0x3F, 0x3F},       {0x589, 0x589},     {0x61D, 0x61F},     {0x6D4, 0x6D4},
    {0x700, 0x702},     {0x7F9, 0x7F9},     {0x837, 0x837},     {0x839, 0x839},     {0x83D, 0x83E},     {0x964, 0x965},
    {0x104A, 0x104B},   {0x1362, 0x1362},   {0x1367, 0x1368},   {0x166E, 0x166E},   {0x1735, 0x1736},   {0x17D4, 0x17D6},
    {0x17D9, 0x17DA},   {0x1803, 0x1803},   {0x1809, 0x1809},   {0x1944, 0x1945},   {0x1AA8, 0x1AAB},   {0x1B5A, 0x1B5B},
    {0x1B5E, 0x1B5F},   {0x1B7D, 0x1B7E},   {0x1C3B, 0x1C3C},   {0x1C7E, 0x1C7F},   {0x203C, 0x203D},   {0x2047, 0x2049},
    {0x2E2E, 0x2E2E},   {0x2E3C, 0x2E3C},   {0x2E53, 0x2E54},   {0x3002, 0x3002},   {0xA4FF, 0xA4FF},   {0xA60E, 0xA60F},
    {0xA6F3, 0xA6F3},   {0xA6F7, 0xA6F7},   {0xA876, 0xA877},   {0xA8CE, 0xA8CF},   {0xA92F, 0xA92F},   {0xA9C8, 0xA9C9},
    {0xAA5D, 0xAA5F},   {0xAAF0, 0xAAF1},   {0xABEB, 0xABEB},   {0xFE52, 0xFE52},   {0xFE56, 0xFE57},   {0xFF01, 0xFF01},
    {0xFF0E, 0xFF0E},   {0xFF1F, 0xFF1F},   {0xFF61, 0xFF61},   {0x10A56, 0x10A57}, {0x10F55, 0x10F59}, {0x10F86, 0x10F89},
    {0x11047, 0x11048}, {0x110BE, 0x110C1}, {0x11141, 0x11143}, {0x111C5, 0x111C6}, {0x111CD, 0x111CD}, {0x111DE, 0x111DF},
    {0x11238, 0x11239}, {0x1123B, 0x1123C}, {0x112A9, 0x112A9}, {0x1144B, 0x1144C}, {0x115C2, 0x115C3}, {0x115C9, 0x115D7},
    {0x11641, 0x11642}, {0x1173C, 0x1173E}, {0x11944, 0x11944}, {0x11946, 0x11946}, {0x11A42, 0x11A43}, {0x11A9B, 0x11A9C},
    {0x11C41, 0x11C42}, {0x11EF7, 0x11EF8}, {0x11F43, 0x11F44}, {0x16A6E, 0x16A6F}, {0x16AF5, 0x16AF5}, {0x16B37, 0x16B38},
    {0x16B44, 0x16B44}, {0x16E98, 0x16E98}, {0x1BC9F, 0x1BC9F}, {0x1DA88, 0x1DA88}};

template <size_t n>
bool is_in(uint32_t cp, const text::Range (&ranges)[n]) {
  const auto after =
      std::upper_bound(std::begin(ranges), std::end(ranges), cp, [](uint32_t c, const text::Range& r) { return c < r.first; });
  return after != std::begin(ranges) && cp <= std::prev(after)->last;
}
bool is_sentence_end(uint32_t cp) {
  return is_in(cp, kSentenceEnds);
}
bool is_symbol(uint32_t cp) {
  return is_in(cp, kSymbols) || is_sentence_end(cp);
}

template <class F>
bool any_char(std::string_view s, F f) {
  for (const char *p = s.data(), *const end = p + s.size(); p < end;) {
    uint32_t cp;
    p += decode_utf8(p, end, &cp);
    if (f(cp)) return true;
  }
  return false;
}
bool has_letter(std::string_view word) {
  const uint8_t* flags = text::char_flags();
  return any_char(word, [flags](uint32_t cp) { return (flags[cp] & text::kLetter) != 0; });
}

// Occurrences that do not overlap.
int64_t count_of(std::string_view text, std::string_view what) {
  int64_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string_view::npos; at += what.size()) ++n;
  return n;
}
bool ends_with_ellipsis(std::string_view line) {
  return line.ends_with("...") || line.ends_with("…");
}
bool is_on(double threshold) {
  return threshold >= 0;
}

// Parts between runs of at least `least` line feeds.
Views split_at_feeds(std::string_view text, size_t least) {
  Views parts;
  size_t begin = 0;
  for (size_t at = 0; (at = text.find('\n', at)) != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_not_of('\n', at), text.size());
    if (end - at >= least) {
      parts.push_back(text.substr(begin, at - begin));
      begin = end;
    }
    at = end;
  }
  parts.push_back(text.substr(begin));
  return parts;
}

struct Repeated {
  int64_t parts = 0, chars = 0;
};
Repeated repeated(const Views& parts) {
  std::unordered_set<std::string_view> seen;
  Repeated r;
  for (const std::string_view part : parts)
    if (!seen.insert(part).second) ++r.parts, r.chars += count_chars(part);
  return r;
}

// Hashes of any stretch of the words, joined, in constant time: a polynomial modulo 2^61 - 1.
class Joined {
 public:
  explicit Joined(const Views& words) {
    starts_.reserve(words.size() + 1);
    chars_.reserve(words.size() + 1);
    for (const std::string_view word : words) {
      add_start();
      for (const char c : word) {
        hash_ = remainder((unsigned __int128)hash_ * kBase + uint8_t(c) + 1);
      }
      total_chars_ += count_chars(word);
      bytes_ += word.size();
    }
    add_start();
    powers_.resize(256, 1);
    for (size_t i = 1; i < powers_.size(); ++i) powers_[i] = remainder((unsigned __int128)powers_[i - 1] * kBase);
  }
  // Of words [begin, end).
  uint64_t hash(size_t begin, size_t end) const {
    const uint64_t before = remainder((unsigned __int128)starts_[begin].hash * power(begin, end));
    return starts_[end].hash >= before ? starts_[end].hash - before : starts_[end].hash + kPrime - before;
  }
  int64_t chars(size_t begin, size_t end) const { return chars_[end] - chars_[begin]; }
  uint64_t bytes(size_t begin, size_t end) const { return starts_[end].bytes - starts_[begin].bytes; }

 private:
  static constexpr uint64_t kPrime = (uint64_t{1} << 61) - 1, kBase = 0x1B873593CC9E2D51 % kPrime;
  static uint64_t remainder(unsigned __int128 x) {
    const uint64_t folded = uint64_t(x & kPrime) + uint64_t(x >> 61);
    return folded >= kPrime ? folded - kPrime : folded;
  }
  struct Start {
    uint64_t hash, bytes;
  };
  void add_start() {
    starts_.push_back({hash_, bytes_});
    chars_.push_back(total_chars_);
  }
  uint64_t power(size_t begin, size_t end) const {
    uint64_t n = bytes(begin, end), square = kBase, result = 1;
    if (n < powers_.size()) return powers_[n];
    for (; n > 0; n >>= 1) {
      if (n & 1) result = remainder((unsigned __int128)result * square);
      square = remainder((unsigned __int128)square * square);
    }
    return result;
  }

  uint64_t hash_ = 0, bytes_ = 0;
  int64_t total_chars_ = 0;
  std::vector<Start> starts_;
  std::vector<int64_t> chars_;
  std::vector<uint64_t> powers_;
};

// Numbers of keys seen, by hash; cleared without being given back.
class Tally {
 public:
  explicit Tally(size_t most) : slots_(std::bit_ceil(most * 2 + 2)) {}
  void clear() { std::fill(slots_.begin(), slots_.end(), Slot{}); }
  // How often it was there before.
  uint32_t add(uint64_t key) { return find(key).count++; }
  uint32_t count(uint64_t key) { return find(key).count; }

 private:
  struct Slot {
    uint64_t key = 0;
    uint32_t count = 0;
  };
  Slot& find(uint64_t key) {
    key |= uint64_t{1} << 63;
    for (size_t at = (key * 0x9E3779B97F4A7C15ull >> 20) & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      if (slots_[at].key == 0) slots_[at].key = key;
      if (slots_[at].key == key) return slots_[at];
    }
  }
  std::vector<Slot> slots_;
};

// Characters, blanks between the words with them, in all occurrences of the n-gram that is there most often; of several the first.
int64_t top_ngram_chars(const Joined& joined, const std::vector<uint64_t>& ids, size_t n, Tally& tally) {
  tally.clear();
  const auto key_at = [&](size_t i) {
    uint64_t key = 0;
    for (size_t k = 0; k < n; ++k) key = (key ^ ids[i + k]) * 0x9FB21C651E98DF25ull, key ^= key >> 31;
    return key;
  };
  uint32_t most = 0;
  for (size_t i = 0; i + n <= ids.size(); ++i) most = std::max(most, tally.add(key_at(i)) + 1);
  size_t first = 0;
  while (tally.count(key_at(first)) < most) ++first;
  return (joined.chars(first, first + n) + int64_t(n) - 1) * int64_t(most);
}

// Characters in n-grams that were there before; n-grams that overlap one that counts do not.
int64_t duplicate_ngram_chars(const Joined& joined, size_t words, size_t n, Tally& tally) {
  tally.clear();
  int64_t chars = 0;
  for (size_t i = 0; i + n <= words;) {
    if (tally.add(joined.hash(i, i + n)) > 0) {
      chars += joined.chars(i, i + n);
      i += n;
    } else {
      ++i;
    }
  }
  return chars;
}

std::string without_citations(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size();) {
    if (line[i] == '[') {
      const std::string_view rest = line.substr(i);
      size_t digits = 1;
      while (digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9') ++digits;
      size_t n = digits < rest.size() && rest[digits] == ']' ? digits + 1 : 0;
      for (const std::string_view note : {"[edit]", "[citation needed]"})
        if (n == 0 && rest.starts_with(note)) n = note.size();
      if (n > 0) {
        i += n;
        continue;
      }
    }
    out += line[i++];
  }
  return out;
}

bool is_about_policy(const std::string& lower) {
  for (const char* words : {"terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"})
    if (lower.find(words) != std::string::npos) return true;
  return false;
}

double ratio(int64_t part, int64_t whole) {
  return double(part) / double(whole);
}

}  // namespace

QualityText::QualityText(std::string_view given) : text(given), chars(count_chars(given)), words(split_words(given)) {}

std::string gopher_reason(const QualityText& t, const GopherConfig& c) {
  int64_t words = 0, letters = 0;
  for (const std::string_view word : t.words) {
    if (!any_char(word, [](uint32_t cp) { return !is_symbol(cp); })) continue;
    ++words;
    letters += count_chars(word);
  }
  const auto all = int64_t(t.words.size());
  if (c.min_words >= 0 && words < std::max<int64_t>(c.min_words, 1)) return "gopher:too_few_words";
  if (c.max_words >= 0 && words > c.max_words) return "gopher:too_many_words";
  if (words == 0) return "gopher:too_few_words";  // there is nothing to take means of
  const double length = ratio(letters, words);
  if (is_on(c.min_word_length) && length < c.min_word_length) return "gopher:short_words";
  if (is_on(c.max_word_length) && length > c.max_word_length) return "gopher:long_words";
  if (is_on(c.max_symbol_ratio) && ratio(count_of(t.text, "#"), all) > c.max_symbol_ratio) return "gopher:symbol_ratio";
  if (is_on(c.max_symbol_ratio) && ratio(count_of(t.text, "...") + count_of(t.text, "…"), all) > c.max_symbol_ratio)
    return "gopher:symbol_ratio";
  const Views lines = split_lines(t.text);
  const auto share_of_lines = [&](auto is) { return ratio(std::count_if(lines.begin(), lines.end(), is), int64_t(lines.size())); };
  const auto is_bullet = [](std::string_view line) {
    line = strip_left(line);
    return line.starts_with("•") || line.starts_with("-");
  };
  if (is_on(c.max_bullet_lines) && share_of_lines(is_bullet) > c.max_bullet_lines) return "gopher:bullet_lines";
  if (is_on(c.max_ellipsis_lines) &&
      share_of_lines([](std::string_view line) { return ends_with_ellipsis(strip_right(line)); }) > c.max_ellipsis_lines)
    return "gopher:ellipsis_lines";
  if (is_on(c.min_words_with_letters) && ratio(std::count_if(t.words.begin(), t.words.end(), has_letter), all) < c.min_words_with_letters)
    return "gopher:words_without_letters";
  if (c.min_stop_words >= 0) {
    int64_t found = 0;
    for (const std::string& stop : c.stop_words) found += std::find(t.words.begin(), t.words.end(), stop) != t.words.end();
    if (found < c.min_stop_words) return "gopher:stop_words";
  }
  return "";
}

std::string repetition_reason(const QualityText& t, const RepetitionConfig& c) {
  if (t.text.empty()) return "gopher:empty";
  const Views paragraphs = split_at_feeds(strip(t.text), 2);
  const Repeated p = repeated(paragraphs);
  if (is_on(c.max_duplicate_paragraphs) && ratio(p.parts, int64_t(paragraphs.size())) > c.max_duplicate_paragraphs)
    return "gopher:duplicate_paragraphs";
  if (is_on(c.max_duplicate_paragraph_chars) && ratio(p.chars, t.chars) > c.max_duplicate_paragraph_chars)
    return "gopher:duplicate_paragraph_chars";
  const Views lines = split_at_feeds(t.text, 1);
  const Repeated l = repeated(lines);
  if (is_on(c.max_duplicate_lines) && ratio(l.parts, int64_t(lines.size())) > c.max_duplicate_lines) return "gopher:duplicate_lines";
  if (is_on(c.max_duplicate_line_chars) && ratio(l.chars, t.chars) > c.max_duplicate_line_chars) return "gopher:duplicate_line_chars";

  const Joined joined(t.words);
  Tally tally(t.words.size());
  std::vector<uint64_t> ids;
  ids.reserve(t.words.size());
  for (size_t i = 0; i < t.words.size(); ++i) ids.push_back(joined.hash(i, i + 1));
  for (size_t i = 0; i < c.max_top_ngram.size(); ++i) {
    const size_t n = i + 2;
    if (!is_on(c.max_top_ngram[i]) || t.words.size() < n) continue;
    if (ratio(top_ngram_chars(joined, ids, n, tally), t.chars) > c.max_top_ngram[i]) return str("gopher:top_", n, "_gram");
  }
  for (size_t i = 0; i < c.max_duplicate_ngrams.size(); ++i) {
    const size_t n = i + 5;
    if (!is_on(c.max_duplicate_ngrams[i])) continue;
    if (ratio(duplicate_ngram_chars(joined, t.words.size(), n, tally), t.chars) > c.max_duplicate_ngrams[i])
      return str("gopher:duplicate_", n, "_grams");
  }
  return "";
}

std::string fineweb_reason(const QualityText& t, const FineWebConfig& c) {
  Views lines;
  size_t feeds = 0;
  for (std::string_view rest = t.text;;) {
    const size_t feed = rest.find('\n');
    const std::string_view line = rest.substr(0, feed);
    if (!strip(line).empty()) lines.push_back(line);
    if (feed == std::string_view::npos) break;
    ++feeds;
    rest.remove_prefix(feed + 1);
  }
  if (lines.empty()) return "fineweb:empty";
  const auto share = [&](auto is) { return ratio(std::count_if(lines.begin(), lines.end(), is), int64_t(lines.size())); };
  const auto ends_sentence = [](std::string_view line) {
    size_t at = line.size() - 1;
    while (at > 0 && (line[at] & 0xC0) == 0x80) --at;
    uint32_t cp;
    decode_utf8(line.data() + at, line.data() + line.size(), &cp);
    return is_sentence_end(cp);
  };
  if (is_on(c.min_line_punctuation) && share(ends_sentence) < c.min_line_punctuation) return "fineweb:line_punctuation";
  if (is_on(c.max_short_lines) && share([&](std::string_view line) { return count_chars(line) <= c.short_line; }) > c.max_short_lines)
    return "fineweb:short_lines";
  if (is_on(c.max_duplicate_line_chars) && ratio(repeated(lines).chars, t.chars - int64_t(feeds)) > c.max_duplicate_line_chars)
    return "fineweb:duplicate_line_chars";
  if (is_on(c.max_line_word_ratio) && ratio(int64_t(feeds), int64_t(t.words.size())) > c.max_line_word_ratio) return "fineweb:list_ratio";
  return "";
}

std::string c4_reason(std::string_view text, const C4Config& c, C4Lines& out) {
  out = {};
  int64_t sentences = 0;
  for (const std::string_view whole : split_lines(text)) {
    ++out.lines;
    const std::string_view stripped = strip(whole);
    const Views words = split_at_white(stripped);
    if (c.max_word_length >= 0 &&
        std::any_of(words.begin(), words.end(), [&](std::string_view w) { return count_chars(w) > c.max_word_length; }))
      continue;
    const std::string line = c.remove_citations ? without_citations(stripped) : std::string(stripped);
    if (c.end_punctuation) {
      const bool ends = !line.empty() && std::string_view(".?!\"'").find(line.back()) != std::string_view::npos;
      if (!ends || line.ends_with("...")) continue;
    }
    if (c.min_line_words >= 0 && int64_t(words.size()) < c.min_line_words) continue;
    const std::string lower = lower_ascii(line);
    if (c.lorem_ipsum && lower.find("lorem ipsum") != std::string::npos) return "c4:lorem_ipsum";
    if (c.javascript && lower.find("javascript") != std::string::npos) continue;
    if (c.curly_bracket && line.find('{') != std::string::npos) return "c4:curly_bracket";
    if (c.policy && is_about_policy(lower)) continue;
    if (c.min_sentences >= 0) sentences += count_sentences(line);
    out.text.append(out.kept++ > 0 ? "\n" : "").append(line);
  }
  if (c.min_sentences >= 0 && sentences < c.min_sentences) return "c4:too_few_sentences";
  out.text = std::string(strip(out.text));
  return "";
}

void GopherConfig::visit(Fields& v) {
  v("enabled", enabled, "apply Gopher's rules of quality");
  v("min_words", min_words, "least words that are not punctuation (-1: off, here and below)");
  v("max_words", max_words, "most of them");
  v("min_word_length", min_word_length, "least mean length of a word");
  v("max_word_length", max_word_length, "largest mean length of a word");
  v("max_symbol_ratio", max_symbol_ratio, "most '#' or ellipses a word");
  v("max_bullet_lines", max_bullet_lines, "largest share of lines that begin with a bullet");
  v("max_ellipsis_lines", max_ellipsis_lines, "largest share of lines that end with an ellipsis");
  v("min_words_with_letters", min_words_with_letters, "least share of words with a letter");
  v("min_stop_words", min_stop_words, "how many different stop words there must be");
  v("stop_words", stop_words, "the language's commonest words, as they are spelt within a sentence");
}

void RepetitionConfig::visit(Fields& v) {
  v("enabled", enabled, "apply Gopher's rules of repetition");
  v("max_duplicate_paragraphs", max_duplicate_paragraphs, "largest share of paragraphs that were there before (-1: off, here and below)");
  v("max_duplicate_paragraph_chars", max_duplicate_paragraph_chars, "the same in characters");
  v("max_duplicate_lines", max_duplicate_lines, "largest share of lines that were there before");
  v("max_duplicate_line_chars", max_duplicate_line_chars, "the same in characters");
  v("max_top_ngram", max_top_ngram, "largest share of characters in the commonest n-gram, for n = 2, 3, ...");
  v("max_duplicate_ngrams", max_duplicate_ngrams, "largest share of characters in n-grams that were there before, for n = 5, 6, ...");
}

void C4Config::visit(Fields& v) {
  v("enabled", enabled, "apply C4's rules of lines");
  v("remove_citations", remove_citations, "take out [1], [edit] and [citation needed]");
  v("end_punctuation", end_punctuation, "keep only lines that end like a sentence");
  v("min_sentences", min_sentences, "least sentences that stay (-1: off, here and below)");
  v("min_line_words", min_line_words, "lines of fewer words go");
  v("max_word_length", max_word_length, "lines with a longer word go");
  v("lorem_ipsum", lorem_ipsum, "drop texts with 'lorem ipsum'");
  v("javascript", javascript, "lines that name JavaScript go");
  v("curly_bracket", curly_bracket, "drop texts with '{'");
  v("policy", policy, "lines about cookies and terms of use go");
}

void FineWebConfig::visit(Fields& v) {
  v("enabled", enabled, "apply FineWeb's rules");
  v("min_line_punctuation", min_line_punctuation, "least share of lines that end a sentence (-1: off, here and below)");
  v("max_short_lines", max_short_lines, "largest share of short lines");
  v("short_line", short_line, "characters of a line that is short");
  v("max_duplicate_line_chars", max_duplicate_line_chars, "largest share of characters in lines that were there before");
  v("max_line_word_ratio", max_line_word_ratio, "most line feeds a word");
}

void QualityConfig::visit(Fields& v) {
  v.group("gopher", gopher, "Gopher's rules of quality");
  v.group("repetition", repetition, "Gopher's rules of repetition");
  v.group("c4", c4, "C4's rules of lines");
  v.group("fineweb", fineweb, "FineWeb's rules");
}

QualityFilter::QualityFilter(const QualityConfig& config) : config_(config) {}

std::string QualityFilter::apply(Document& document) const {
  std::string reason;
  if (config_.gopher.enabled || config_.repetition.enabled) {
    const QualityText text(document.text);
    if (config_.repetition.enabled) reason = repetition_reason(text, config_.repetition);
    if (reason.empty() && config_.gopher.enabled) reason = gopher_reason(text, config_.gopher);
    if (!reason.empty()) return reason;
  }
  if (config_.c4.enabled) {
    C4Lines kept;
    if (reason = c4_reason(document.text, config_.c4, kept); !reason.empty()) return reason;
    if (kept.text != document.text) {
      document.text = std::move(kept.text);
      document.marks.push_back(str("c4:lines=", kept.kept, "/", kept.lines));
    }
  }
  if (config_.fineweb.enabled) reason = fineweb_reason(QualityText(document.text), config_.fineweb);
  return reason;
}

}  // namespace r1::corpus
