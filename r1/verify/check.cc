#include "r1/verify/check.h"

#include <algorithm>

#include <unordered_map>

#include "r1/base/strings.h"
#include "r1/verify/answer.h"
#include "r1/verify/choice.h"
#include "r1/verify/units.h"

namespace r1::verify {
namespace {

// \\frac from a doubly escaped file is \frac; in a matrix \\ ends a row.
std::string unescaped(std::string_view text) {
  std::string out(text);
  if (out.find("\\\\") == out.npos) return out;
  const bool rows = out.find("\\begin{") != out.npos && out.find("\\\\begin{") == out.npos;
  if (rows) return out;
  std::string kept;
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == '\\' && i + 2 < out.size() && out[i + 1] == '\\' && std::isalpha(static_cast<unsigned char>(out[i + 2]))) continue;
    kept += out[i];
  }
  return kept;
}

// How else may commas be read? "1,22" and "0,111" may be decimals, "(1,234)" may be a pair.
std::vector<Commas> readings(std::string_view text) {
  std::vector<Commas> all = {Commas::kThousands};
  size_t commas = 0, at = 0;
  bool tight = false, plain = true;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool digit = c >= '0' && c <= '9';
    if (c == ',') {
      ++commas, at = i;
      tight |= i > 0 && i + 1 < text.size() && text[i - 1] >= '0' && text[i - 1] <= '9' && text[i + 1] >= '0' && text[i + 1] <= '9';
    } else if (!digit && c != '-' && c != '$' && c != ' ' && c != '\\') {
      plain = false;
    }
  }
  if (!tight) return all;
  const size_t first = text.find_first_of("0123456789");
  const bool thousands =
      at - first <= 3 && text[first] != '0' && at + 4 <= text.size() && (at + 4 == text.size() || text[at + 4] < '0' || text[at + 4] > '9');
  if (plain && commas == 1 && !thousands && text.find(' ') == text.npos) all.push_back(Commas::kDecimal);
  if (text.find_first_of("([{") != text.npos) all.push_back(Commas::kSeparator);
  return all;
}

struct Reading {
  std::vector<Node> nodes;
  std::string why;  // no reading: the parser's complaint
};
Reading read(std::string_view text) {
  Reading out;
  if (text.size() > kMaxAnswerBytes) {
    out.why = "longer than 20,000 bytes";
    return out;
  }
  const std::string clean = unescaped(text);
  for (Commas commas : readings(clean)) {
    try {
      out.nodes.push_back(parse_expression(clean, commas));
    } catch (const ParseError& e) {
      out.why = e.what();
    }
  }
  return out;
}

// Words for sets that have a sign.
std::string_view in_signs(std::string_view text) {
  if (text.size() > 80) return text;
  static const std::unordered_map<std::string_view, std::string_view> kWords = {{"all real numbers", "\\mathbb{R}"},
                                                                                {"all reals", "\\mathbb{R}"},
                                                                                {"the real numbers", "\\mathbb{R}"},
                                                                                {"any real number", "\\mathbb{R}"},
                                                                                {"the set of all real numbers", "\\mathbb{R}"},
                                                                                {"all real values of x", "\\mathbb{R}"},
                                                                                {"no solution", "\\emptyset"},
                                                                                {"no solutions", "\\emptyset"},
                                                                                {"there is no solution", "\\emptyset"},
                                                                                {"there are no solutions", "\\emptyset"},
                                                                                {"the empty set", "\\emptyset"},
                                                                                {"empty set", "\\emptyset"}};
  const auto found = kWords.find(normalized_text(text));
  return found == kWords.end() ? text : found->second;
}

// A known answer that begins with words which are more than a name for its value: "\text{local maximum }5". Nothing may drop them.
bool begins_with_words(std::string_view gold) {
  gold = trim(gold);
  while (gold.starts_with('$')) gold.remove_prefix(1);
  if (!gold.starts_with("\\text") && !gold.starts_with("\\mbox") && !gold.starts_with("\\mathrm")) return false;
  const size_t open = gold.find('{'), close = gold.find('}');
  if (open == gold.npos || close == gold.npos || close < open) return false;
  const std::string_view words = trim(gold.substr(open + 1, close - open - 1)), rest = trim(gold.substr(close + 1));
  if (rest.empty() || rest.front() == '=' || rest.front() == ':' || rest.front() == '_' || words.empty() || words.back() == ':' ||
      words.back() == '=')
    return false;
  for (std::string_view verb : {" is", " are", " equals"})
    if (words.ends_with(verb)) return false;
  const auto letters = std::count_if(words.begin(), words.end(), [](unsigned char c) { return std::isalpha(c); });
  return letters >= 3 && !known_unit(words);
}

// Three capitals or more and nothing else: a numeral, an order of things, a name; no product, in which order would not count.
bool capitals(std::string_view text) {
  std::string_view s = trim(text);
  while (s.size() > 1 && s.front() == '$' && s.back() == '$') s = s.substr(1, s.size() - 2);
  return s.size() >= 3 && std::all_of(s.begin(), s.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool has_letters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](unsigned char c) { return std::isalpha(c); }) > 0;
}

// A word or several: letters of three or more, digits and blanks, no mathematics.
bool word_text(std::string_view text) {
  const std::string s = normalized_text(text);
  const auto letters = std::count_if(s.begin(), s.end(), [](unsigned char c) { return std::isalpha(c); });
  return letters >= 3 &&
         std::all_of(s.begin(), s.end(), [](unsigned char c) { return std::isalnum(c) || c == ' ' || c >= 0x80 || c == ',' || c == '-'; });
}

}  // namespace

const char* answer_verdict_name(AnswerVerdict verdict) {
  static const char* const names[] = {"right", "wrong", "unparsed", "timeout", "crash"};
  return names[int(verdict)];
}

AnswerCheck check_texts(std::string_view gold, std::string_view answer, const EqualityOptions& options, const Budget& budget,
                        bool* exhausted) {
  *exhausted = false;
  AnswerCheck out{AnswerVerdict::kWrong, std::string(answer.substr(0, 2'000)), "not equal"};
  if (answer.empty()) return {AnswerVerdict::kUnparsed, "", "no answer found"};
  if (gold == answer) return out.verdict = AnswerVerdict::kRight, out.reason = "same text", out;
  if (answer.size() <= kMaxAnswerBytes && normalized_text(gold) == normalized_text(answer) && !normalized_text(gold).empty())
    return out.verdict = AnswerVerdict::kRight, out.reason = "same text", out;
  if (gold.size() < 80 && answer.size() < 80 && capitals(gold) && capitals(answer)) return out.reason = "another text", out;
  const char option = option_letter(gold);
  if (option && option_letter(answer))
    return option == option_letter(answer) ? (out.verdict = AnswerVerdict::kRight, out.reason = "same option", out)
                                           : (out.reason = "another option", out);
  const Reading g = begins_with_words(gold) ? Reading{{}, "it begins with words"} : read(in_signs(gold)), a = read(in_signs(answer));
  if (g.nodes.empty()) {
    if (!has_letters(gold)) return out.verdict = AnswerVerdict::kUnparsed, out.reason = "the known answer cannot be read: " + g.why, out;
    return out.reason = "another text", out;
  }
  if (a.nodes.empty() && word_text(gold) && word_text(answer)) return out.reason = "another text", out;
  if (a.nodes.empty()) return out.verdict = AnswerVerdict::kUnparsed, out.reason = a.why, out;
  Comparison undecided;
  bool known = false;
  for (const Node& x : g.nodes) {
    for (const Node& y : a.nodes) {
      bool more = false;
      const Comparison c = compare_answers(x, y, options, budget, &more);
      if (c.same == Same::kYes) return out.verdict = AnswerVerdict::kRight, out.reason = c.reason, *exhausted = false, out;
      if (c.same == Same::kNo) known = true, out.reason = c.reason;
      if (c.same == Same::kUnknown) undecided = c, *exhausted |= more;
    }
  }
  if (*exhausted) return out.verdict = AnswerVerdict::kTimeout, out.reason = undecided.reason, out;
  if (!known) return out.verdict = AnswerVerdict::kUnparsed, out.reason = undecided.reason, out;
  return out;
}

}  // namespace r1::verify
