#include "r1/tasks/text_measures.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <unordered_map>

#include "r1/base/utf8.h"

namespace r1::tasks {

namespace {

// The code point at `at`, which moves on; a bad byte stands for itself.
char32_t next_code_point(const std::string& text, size_t& at) {
  uint32_t c;
  const int length = decode_utf8(text.data() + at, text.data() + text.size(), &c);
  const char32_t found = c == kInvalidChar ? char32_t(static_cast<unsigned char>(text[at])) : char32_t(c);
  at += size_t(length);
  return found;
}

bool is_cjk(char32_t c) {
  return (c >= 0x3040 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x2FA1F);
}
bool is_latin(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0x24F && c != 0xD7 && c != 0xF7);
}
bool is_space(char32_t c) {
  return c <= ' ' || c == 0xA0 || c == 0x3000 || (c >= 0x2000 && c <= 0x200A);
}
// A letter of any script, coarsely: what is beyond ASCII and no punctuation, symbol or space of the common blocks.
bool is_letter(char32_t c) {
  return is_latin(c) || is_cjk(c) ||
         (c >= 0x250 && !is_space(c) && !(c >= 0x2000 && c <= 0x2BFF) && !(c >= 0x3000 && c <= 0x303F) && !(c >= 0xFF00 && c <= 0xFFEF) &&
          c < 0x1F000);
}
bool is_digit(char32_t c) {
  return c >= '0' && c <= '9';
}
bool is_formula_sign(char32_t c) {
  return c < 0x80 && std::string("\\=+*/^_{}<>|$").find(char(c)) != std::string::npos;
}

void lower(std::string& word) {
  for (char& c : word)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
}

// Which scripts a word has, and whether it belongs to a formula.
struct WordKind {
  bool latin = false, cjk = false, other = false, formula = false;
  int letters = 0;
};
WordKind kind_of(const std::string& word) {
  WordKind k;
  for (size_t at = 0; at < word.size();) {
    const char32_t c = next_code_point(word, at);
    k.latin |= is_latin(c);
    k.cjk |= is_cjk(c);
    k.other |= is_letter(c) && !is_latin(c) && !is_cjk(c);
    k.formula |= is_digit(c) || is_formula_sign(c);
    k.letters += is_letter(c);
  }
  const bool variable = k.latin && k.letters == 1 && word.find_first_of("aAI") == std::string::npos;
  k.formula |= variable;
  return k;
}

// The words as numbers, equal words the same.
std::vector<int32_t> numbered(const std::vector<std::string>& list) {
  std::unordered_map<std::string, int32_t> known;
  std::vector<int32_t> out;
  for (const auto& word : list) out.push_back(known.emplace(word, int32_t(known.size())).first->second);
  return out;
}

}  // namespace

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out;
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) out.push_back(std::move(word));
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    if (is_space(c) || is_cjk(c)) flush();
    if (is_cjk(c)) out.push_back(text.substr(begin, at - begin));
    if (!is_space(c) && !is_cjk(c)) word.append(text, begin, at - begin);
  }
  flush();
  return out;
}

std::vector<std::string> units(const std::string& text) {
  std::vector<std::string> out;
  bool inside = false;  // a run of letters and digits goes on
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    const bool run = is_digit(c) || (is_letter(c) && !is_cjk(c));
    if (run && inside)
      out.back().append(text, begin, at - begin);
    else if (!is_space(c))
      out.push_back(text.substr(begin, at - begin));
    inside = run;
  }
  for (auto& unit : out) lower(unit);
  return out;
}

double repetition(const std::string& text, int n) {
  auto list = words(text);
  if (int64_t(list.size()) < n) return 0;
  for (auto& word : list) lower(word);
  const auto ids = numbered(list);
  std::vector<size_t> order(ids.size() - size_t(n) + 1);
  std::iota(order.begin(), order.end(), 0);
  const auto at = [&](size_t i) { return ids.begin() + int64_t(i); };
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return std::lexicographical_compare(at(a), at(a) + n, at(b), at(b) + n); });
  size_t distinct = 1;
  for (size_t i = 1; i < order.size(); ++i) distinct += !std::equal(at(order[i]), at(order[i]) + n, at(order[i - 1]));
  return 1.0 - double(distinct) / double(order.size());
}

std::optional<double> language_share(const std::string& text, const std::string& language) {
  double all = 0, target = 0;
  for (const auto& word : words(text)) {
    const WordKind k = kind_of(word);
    if (k.formula || (!k.latin && !k.cjk && !k.other)) continue;
    all += 1;
    target += language == "zh" ? k.cjk : k.latin && !k.other;
  }
  if (all == 0) return std::nullopt;
  return target / all;
}

}  // namespace r1::tasks
