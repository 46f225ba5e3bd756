#include "r1/corpus/augment_synonyms.h"

#include <algorithm>
#include <cctype>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/strings.h"
#include "r1/base/utf8.h"

namespace r1::corpus {
namespace {

constexpr std::string_view kBuiltIn =
#include "r1/corpus/synonyms.inc"
    ;

bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0;
}
bool is_upper(char c) {
  return std::isupper(static_cast<unsigned char>(c)) != 0;
}
bool is_han(uint32_t c) {
  return (c >= 0x4E00 && c < 0xA000) || (c >= 0x3400 && c < 0x4DC0) || (c >= 0x20000 && c < 0x32000);
}

uint32_t char_at(std::string_view text, size_t at, size_t& length) {
  uint32_t c = 0;
  length = size_t(decode_utf8(text.data() + at, text.data() + text.size(), &c));
  return c;
}

bool is_chinese(std::string_view word) {
  for (size_t i = 0, n = 0; i < word.size(); i += n)
    if (!is_han(char_at(word, i, n))) return false;
  return !word.empty();
}
bool is_english(std::string_view word) {
  return !word.empty() && is_letter(word.front()) && is_letter(word.back()) && word.find("  ") == word.npos &&
         std::ranges::all_of(word, [](char c) { return is_letter(c) || c == ' '; });
}

// ---- what is left alone

// From an opening to its close; each is a stretch that ends at the text's end if it is not closed (`open_ended`), or is none.
struct Pair {
  std::string_view open, close;
  bool open_ended = false;
  size_t most = 400;  // bytes between them
};
constexpr size_t kAny = size_t(-1);
constexpr Pair kPairs[] = {{"```", "```", true, kAny},
                           {"~~~", "~~~", true, kAny},
                           {"<think>", "</think>", true, kAny},
                           {"<code", "</code>", true, kAny},
                           {"<pre", "</pre>", true, kAny},
                           {"<script", "</script>", true, kAny},
                           {"<|", "|>"},
                           {"<｜", "｜>"},
                           {"\\begin{", "\\end{", true, kAny},
                           {"$$", "$$", true, kAny},
                           {"\\[", "\\]", true, kAny},
                           {"\\(", "\\)", true, kAny},
                           {"$", "$"},
                           {"`", "`"},
                           {"<", ">"},
                           {"{", "}"},
                           {"\"", "\""},
                           {"“", "”"},
                           {"‘", "’"},
                           {"「", "」"},
                           {"『", "』"},
                           {"《", "》"},
                           {"〈", "〉"},
                           {"«", "»"},
                           {"„", "“"},
                           {"[", "]"}};

bool is_word_byte(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || uint8_t(c) >= 0x80;
}

// The end of the stretch that begins at `at`; `at` if none does.
size_t stretch_at(std::string_view text, size_t at) {
  const std::string_view rest = text.substr(at);
  for (const Pair& p : kPairs) {
    if (!rest.starts_with(p.open)) continue;
    const size_t reach = p.most == kAny ? rest.size() : std::min(rest.size(), p.most + p.close.size());
    const size_t close = rest.substr(0, reach).find(p.close, p.open.size());
    if (close == rest.npos) {
      if (p.open_ended) return text.size();
      continue;
    }
    // Prices are no formulas: $5 and $6. Nor do quotes and signs go over paragraphs.
    const std::string_view inside = rest.substr(p.open.size(), close - p.open.size());
    if (p.most != kAny && inside.find("\n\n") != inside.npos) continue;
    if (p.open == "$" && (inside.empty() || inside.front() == ' ' || inside.back() == ' ' || inside.find('\n') != inside.npos)) continue;
    if (p.open == "<" && !is_letter(inside.empty() ? ' ' : inside.front()) && !inside.starts_with("/") && !inside.starts_with("!"))
      continue;
    return at + close + p.close.size();
  }
  // 'quoted', but not don't.
  if (rest.front() == '\'' && (at == 0 || !is_word_byte(text[at - 1]))) {
    const size_t close = rest.substr(0, 200).find('\'', 1);
    if (close != rest.npos && rest.substr(0, close).find('\n') == rest.npos && (close + 1 == rest.size() || !is_word_byte(rest[close + 1])))
      return at + close + 1;
  }
  if (rest.front() == '\\') {  // \command
    size_t n = 1;
    while (n < rest.size() && is_letter(rest[n])) ++n;
    return at + std::max<size_t>(n, std::min<size_t>(2, rest.size()));
  }
  return at;
}

// A run without blanks with one of these in it is an address, a path or a name of code.
bool is_address(std::string_view run) {
  for (const char* sign : {"://", "www.", "@", "/", "\\", "_", "=", "::", "()"})
    if (run.find(sign) != run.npos) return true;
  // a.b, but not an end of a sentence
  for (size_t i = 1; i + 1 < run.size(); ++i)
    if (run[i] == '.' && std::isalnum(static_cast<unsigned char>(run[i - 1])) && std::isalnum(static_cast<unsigned char>(run[i + 1])))
      return true;
  return false;
}
bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

// Lines of code: indented by four or more, or of Markdown's tables and headings of links.
bool is_code_line(std::string_view text, size_t at) {
  return text.substr(at).starts_with("    ") || text.substr(at).starts_with("\t");
}

// ---- English around a word

bool begins_with_vowel_sound(std::string_view word) {
  const std::string w = lower_ascii(word);
  for (const char* silent : {"hour", "honest", "honour", "honor", "heir"})
    if (w.starts_with(silent)) return true;
  for (const char* consonant : {"uni", "use", "usual", "usu", "euro", "one", "once", "ubiq", "uti", "ura"})
    if (w.starts_with(consonant)) return w.starts_with("unin") || w.starts_with("unim");
  return !w.empty() && std::string_view("aeiou").find(w[0]) != std::string_view::npos;
}

std::string in_case_of(std::string_view model, std::string text) {
  const bool all = model.size() > 1 && std::ranges::all_of(model, [](char c) { return !is_letter(c) || is_upper(c); });
  for (char& c : text)
    if (all) c = char(std::toupper(static_cast<unsigned char>(c)));
  if (is_upper(model.front())) text[0] = char(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

// Whether a capital at `at` only begins a sentence.
bool begins_sentence(std::string_view text, size_t at) {
  size_t i = at;
  while (i > 0 && (text[i - 1] == ' ' || text[i - 1] == '\n')) {
    if (text[i - 1] == '\n') return true;
    --i;
  }
  return i == 0 || (i < at && std::string_view(".!?").find(text[i - 1]) != std::string_view::npos);
}
bool may_be_name(std::string_view text, size_t at, size_t end) {
  if (!is_upper(text[at])) return false;
  // "Big Ben", "HELP" among words in small letters
  if (at + 1 < end && is_upper(text[at + 1])) return true;
  return !begins_sentence(text, at) || (end + 1 < text.size() && text[end] == ' ' && is_upper(text[end + 1]));
}

}  // namespace

std::vector<std::pair<size_t, size_t>> untouchable(std::string_view text) {
  std::vector<std::pair<size_t, size_t>> out;
  const auto add = [&](size_t begin, size_t end) {
    if (!out.empty() && begin <= out.back().second)
      out.back().second = std::max(out.back().second, end);
    else
      out.emplace_back(begin, end);
  };
  for (size_t i = 0; i < text.size();) {
    if ((i == 0 || text[i - 1] == '\n') && is_code_line(text, i)) {
      const size_t end = std::min(text.find('\n', i), text.size());
      add(i, end);
      i = end;
      continue;
    }
    if (const size_t end = stretch_at(text, i); end > i) {
      add(i, end);
      i = end;
      continue;
    }
    if (i == 0 || is_space(text[i - 1])) {
      size_t end = i;
      while (end < text.size() && !is_space(text[end])) ++end;
      // Chinese has no blanks: there a run of ASCII is looked at alone.
      size_t ascii = i;
      while (ascii < end && uint8_t(text[ascii]) < 0x80) ++ascii;
      if (ascii > i && is_address(text.substr(i, ascii - i))) {
        add(i, ascii);
        i = ascii;
        continue;
      }
    } else if (uint8_t(text[i]) < 0x80 && uint8_t(text[i - 1]) >= 0x80) {
      size_t ascii = i;
      while (ascii < text.size() && uint8_t(text[ascii]) < 0x80 && !is_space(text[ascii])) ++ascii;
      if (is_address(text.substr(i, ascii - i))) {
        add(i, ascii);
        i = ascii;
        continue;
      }
    }
    ++i;
  }
  return out;
}

void Synonyms::add(std::string word, std::vector<std::string> synonyms, const std::string& where) {
  const bool chinese = is_chinese(word);
  if (!chinese && !is_english(word)) fail_usage(where, ": '", printable(word), "' is no word of letters, nor one of Chinese characters");
  for (const std::string& s : synonyms) {
    if (chinese ? !is_chinese(s) : !is_english(s))
      fail_usage(where, ": '", printable(s), "' is no word as '", printable(word), "' is one (letters, or Chinese characters)");
    if (s == word) fail_usage(where, ": '", printable(word), "' is its own synonym");
  }
  if (chinese)
    longest_chinese_ = std::max(longest_chinese_, word.size());
  else
    longest_english_ = std::max(longest_english_, size_t(1 + std::ranges::count(word, ' ')));
  if (!words_.emplace(chinese ? word : lower_ascii(word), std::move(synonyms)).second)
    fail_usage(where, ": '", printable(word), "' stands there twice; put all its synonyms in one line");
}

Synonyms Synonyms::parse(std::string_view text, const std::string& where) {
  Synonyms out;
  int64_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = trim(text.substr(at, end - at));
    at = end + 1;
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    std::vector<std::string> cells;
    for (size_t i = 0; i <= line.size();) {
      const size_t tab = std::min(line.find('\t', i), line.size());
      if (const std::string_view cell = trim(line.substr(i, tab - i)); !cell.empty()) cells.emplace_back(cell);
      i = tab + 1;
    }
    std::string word = std::move(cells[0]);
    cells.erase(cells.begin());
    out.add(std::move(word), std::move(cells), str(where, ":", number));
  }
  if (out.words_.empty()) fail_usage(where, ": holds no words (a line a word, its synonyms behind it, tabs between)");
  return out;
}

Synonyms Synonyms::load(const std::string& path) {
  if (!fs::is_regular_file(path)) fail_usage("augment.synonyms: there is no file '", printable(path), "'");
  return parse(read_file(path), path);
}

Synonyms Synonyms::built_in() {
  return parse(kBuiltIn, "the table of synonyms");
}

size_t Synonyms::english_at(std::string_view text, size_t at, size_t end, std::string& key) const {
  size_t best = 0, i = at;
  std::string phrase;
  for (size_t words = 0; words < longest_english_ && i < end; ++words) {
    const size_t begin = i;
    while (i < end && is_letter(text[i])) ++i;
    if (i == begin) break;
    phrase += (words ? " " : "") + lower_ascii(text.substr(begin, i - begin));
    // Glued to something: x-y, don't, a1, é.
    const char after = i < text.size() ? text[i] : ' ';
    const bool whole = !is_word_byte(after) && after != '-' && after != '\'' && after != '_' && !text.substr(i).starts_with("’");
    if (whole && words_.contains(phrase)) best = i - at, key = phrase;
    if (after != ' ') break;
    ++i;
  }
  return best;
}

size_t Synonyms::chinese_at(std::string_view text, size_t at, size_t end) const {
  for (size_t n = std::min(longest_chinese_, end - at); n > 0; --n)
    if ((at + n == text.size() || (uint8_t(text[at + n]) & 0xC0) != 0x80) && words_.contains(std::string(text.substr(at, n)))) return n;
  return 0;
}

Synonyms::Replaced Synonyms::replace(std::string_view text, double rate, Rng& rng) const {
  Replaced out;
  const auto skips = untouchable(text);
  size_t skip = 0;
  const auto draw = [&](std::string_view word, const std::vector<std::string>& synonyms) {
    if (synonyms.empty() || !(rng.uniform() < rate)) return std::string(word);
    return synonyms[size_t(rng.below(synonyms.size()))];
  };
  for (size_t i = 0; i < text.size();) {
    while (skip < skips.size() && skips[skip].second <= i) ++skip;
    const size_t end = skip < skips.size() ? skips[skip].first : text.size();
    if (i >= end) {
      out.text += text.substr(i, skips[skip].second - i);
      i = skips[skip].second;
      continue;
    }
    size_t length = 0;
    const uint32_t c = char_at(text, i, length);
    if (is_han(c)) {
      const size_t n = chinese_at(text, i, end);
      if (n > 0) {
        const std::string_view word = text.substr(i, n);
        const std::string other = draw(word, words_.at(std::string(word)));
        if (other != word) out.words.emplace_back(word, other);
        out.text += other;
        length = n;
      } else {
        out.text += text.substr(i, length);
      }
      i += length;
      continue;
    }
    const char before = i > 0 ? text[i - 1] : ' ';
    const bool glued = is_word_byte(before) || before == '-' || before == '\'' || before == '_' || before == '@' || before == '#';
    std::string key;
    const size_t n = is_letter(text[i]) && !glued ? english_at(text, i, end, key) : 0;
    if (n == 0 || may_be_name(text, i, i + n)) {
      // The rest of a word is none of its own.
      size_t next = i + length;
      while (is_letter(text[i]) && next < end && is_letter(text[next])) ++next;
      out.text += text.substr(i, next - i);
      i = next;
      continue;
    }
    const std::string_view word = text.substr(i, n);
    const std::string other = draw(key, words_.at(key));
    if (other == key) {
      out.text += word;
    } else {
      const bool was = begins_with_vowel_sound(word), is = begins_with_vowel_sound(other);
      const auto article = [&](std::string_view a) {
        return out.text.size() >= a.size() && lower_ascii(std::string_view(out.text).substr(out.text.size() - a.size())) == a &&
               (out.text.size() == a.size() || !is_word_byte(out.text[out.text.size() - a.size() - 1]));
      };
      if (!was && is && article("a ")) out.text.insert(out.text.size() - 1, 1, 'n');
      if (was && !is && article("an ")) out.text.erase(out.text.size() - 2, 1);
      out.words.emplace_back(word, in_case_of(word, other));
      out.text += out.words.back().second;
    }
    i += n;
  }
  return out;
}

}  // namespace r1::corpus
