#include "r1/verify/choice.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "r1/verify/answer.h"

namespace r1::verify {
namespace {

using Words = std::vector<std::string_view>;

bool has(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}
// Words before a letter that name it as the answer.
const Words kCues = {"answer",  "answers", "option", "choice",  "ans",    "correct", "choose",    "pick",   "select", "chose",
                     "réponse", "reponse", "choix",  "antwort", "lösung", "loesung", "respuesta", "opción", "opcion"};
// Words that may stand between the two.
const Words kLinks = {"is",         "be",      "must", "should", "would",      "will",   "therefore", "thus",  "letter", "for", "sure",
                      "definitely", "clearly", "the",  "also",   "most",       "likely", "probably",  "est",   "ist",    "es",  "la",
                      "die",        "der",     "then", "to",     "therefore,", "it",     "that",      "think", "believe"};
// Words before a letter that deny it.
const Words kDenials = {"not",   "isn't",   "isnt",    "can't",    "cannot",    "never",  "non",     "pas",
                        "nicht", "neither", "nor",     "exclude",  "eliminate", "except", "than",    "unlike",
                        "kein",  "without", "wasn't",  "aren't",   "discard",   "reject", "against", "could",
                        "might", "maybe",   "perhaps", "possibly", "incorrect", "wrong",  "false"};
// Words after a letter.
const Words kVerbs = {"is",   "are",  "was",  "can", "could",     "should",     "must", "be",  "clearly", "therefore",
                      "thus", "also", "both", "the", "obviously", "definitely", "all",  "est", "ist",     "sont"};
const Words kRight = {"right", "correct", "true", "answer", "best", "richtig", "correcta", "correcte"};
const Words kWrong = {"wrong", "incorrect", "false",  "not",    "excluded", "ruled",      "eliminated", "impossible", "cannot",
                      "can't", "isn't",     "aren't", "falsch", "fausse",   "incorrecta", "out",        "discarded",  "rejected"};

bool blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
char low(char c) {
  return char(std::tolower(static_cast<unsigned char>(c)));
}
// Does byte `i` belong to a word: an ASCII letter or digit, or a Latin letter of two bytes? Chinese signs and letters end one.
bool word_byte(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[k]); };
  if (byte(i) < 0x80) return std::isalnum(byte(i));
  if (byte(i) >= 0xC3 && byte(i) <= 0xC9) return true;
  return byte(i) < 0xC0 && i > 0 && byte(i - 1) >= 0xC3 && byte(i - 1) <= 0xC9;
}

// Layout commands, dollars, braces and stars gone; \text{C} becomes "C".
std::string bare(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      while (i + 1 < text.size() && std::isalpha(static_cast<unsigned char>(text[i + 1]))) ++i;
      continue;
    }
    if (text[i] != '$' && text[i] != '{' && text[i] != '}' && text[i] != '*') out += text[i];
  }
  return std::string(trim(out));
}

// A letter that stands for an option: A-J between other signs than letters and digits. An "A" or "I" before a small word is an article or
// a pronoun unless a verb or a reason follows.
bool stands_alone(std::string_view text, size_t at) {
  const char c = text[at];
  if (c < 'A' || c > 'J') return false;
  if (at > 0 && (word_byte(text, at - 1) || text[at - 1] == '\\' || text[at - 1] == '_' || text[at - 1] == '\'')) return false;
  if (at + 1 < text.size() && (word_byte(text, at + 1) || text[at + 1] == '\'' || text[at + 1] == '_')) return false;
  if (c != 'A' && c != 'I') return true;
  size_t next = at + 1;
  while (next < text.size() && text[next] == ' ') ++next;
  if (next == at + 1 || next >= text.size() || !std::islower(static_cast<unsigned char>(text[next]))) return true;
  size_t end = next;
  while (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end]))) ++end;
  const std::string_view word = text.substr(next, end - next);
  static const Words kFollow = {"because", "since", "as", "is", "and", "or", "which", "for", "can", "non", "but", "nor", "cannot", "was"};
  return has(kFollow, word);
}

// ---- what is said of one letter ----

// Takes the last word off `text` (lower case), over blanks and signs; "" where none stands.
std::string pop_word(std::string_view& text) {
  static const std::array<std::string_view, 5> kSigns = {"：", "（", "“", "‘", "，"};
  for (bool more = true; more;) {
    more = !text.empty() && (blank(text.back()) || std::string_view(":=-(*$\"',#>[{`").find(text.back()) != std::string_view::npos);
    if (more) text.remove_suffix(1);
    for (std::string_view sign : kSigns)
      if (text.ends_with(sign)) text.remove_suffix(sign.size()), more = true;
  }
  if (text.ends_with("\\text") || text.ends_with("\\textbf") || text.ends_with("\\mathrm")) {
    text = text.substr(0, text.rfind('\\'));
    return pop_word(text);
  }
  size_t begin = text.size();
  while (begin > 0 && text.size() - begin < 20 && (word_byte(text, begin - 1) || text[begin - 1] == '\'')) --begin;
  std::string word;
  for (char c : text.substr(begin)) word += low(c);
  text = text.substr(0, begin);
  return word;
}
std::string next_word(std::string_view& text) {
  while (!text.empty() && (blank(text.front()) || std::string_view(")]}$*,\"'`").find(text.front()) != std::string_view::npos))
    text.remove_prefix(1);
  size_t end = 0;
  while (end < text.size() && end < 20 && (word_byte(text, end) || text[end] == '\'')) ++end;
  std::string word;
  for (char c : text.substr(0, end)) word += low(c);
  text.remove_prefix(end);
  return word;
}

bool ends_with_any(std::string_view text, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(), [&](std::string_view e) { return text.ends_with(e); });
}

enum class Said { kNothing, kRight, kDenied };

Said said_before(std::string_view before) {
  for (int words = 0; words < 6; ++words) {
    std::string_view at = before;
    const std::string word = pop_word(before);
    if (word.empty()) {
      at = trim(before);
      if (ends_with_any(at, {"不是", "并非", "排除", "不选", "不为"})) return Said::kDenied;
      if (ends_with_any(at, {"答案是", "答案为", "答案", "选项", "选择", "应选", "故选", "选", "正确的是"})) return Said::kRight;
      return Said::kNothing;
    }
    if (has(kDenials, word) || word.ends_with("n't") || word == "no") return Said::kDenied;
    if (word == "but") {  // anything but A
      const std::string all = pop_word(before);
      return all == "anything" || all == "everything" || all == "all" || all == "any" ? Said::kDenied : Said::kNothing;
    }
    if (word == "out") return pop_word(before).starts_with("rul") ? Said::kDenied : Said::kNothing;  // ruled out A
    if (has(kCues, word)) {
      std::string_view rest = before;  // "not the answer A"
      const std::string earlier = pop_word(rest);
      return earlier == "incorrect" || earlier == "wrong" || earlier == "not" ? Said::kDenied : Said::kRight;
    }
    if (!has(kLinks, word)) return Said::kNothing;
  }
  return Said::kNothing;
}
Said said_behind(std::string_view behind) {
  behind = behind.substr(0, 60);
  for (int words = 0; words < 5; ++words) {
    const std::string word = next_word(behind);
    if (word.empty()) return Said::kNothing;
    if (has(kWrong, word)) return Said::kDenied;
    if (has(kRight, word)) return words ? Said::kRight : Said::kNothing;
    if (word.size() == 1) continue;  // A and C ..: what is said of both
    if (!has(kVerbs, word) && word != "and" && word != "or" && word != "nor") return Said::kNothing;
  }
  return Said::kNothing;
}

struct Letter {
  size_t at;
  char letter;
  Said said;
  bool joined;  // to the one before: "A or B", "A, B"
};

// Is there nothing but a link between two letters?
bool link(std::string_view gap) {
  std::string s;
  for (char c : gap)
    if (std::string_view(" ()[]{}$*\"").find(c) == std::string_view::npos) s += low(c);
  static const Words kLink = {"or",   "and", "nor", ",", "/", "&",  ",or", ",and", "ou",
                              "oder", "und", "et",  "o", "y", "、", "或",  "和",   "and/or"};
  return has(kLink, s);
}

std::vector<Letter> letters_of(std::string_view text) {
  std::vector<Letter> out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (!stands_alone(text, at)) continue;
    Letter one{at, text[at], said_before(text.substr(at < 200 ? 0 : at - 200, std::min<size_t>(at, 200))), false};
    if (one.said == Said::kNothing) one.said = said_behind(text.substr(at + 1));
    if (!out.empty() && at - out.back().at < 20 && link(text.substr(out.back().at + 1, at - out.back().at - 1))) {
      one.joined = true;
      if (one.said == Said::kNothing) one.said = out.back().said;
    }
    out.push_back(one);
  }
  return out;
}

// The letter at `i` with those that are joined to it: more than one of them is no answer.
bool hedged(const std::vector<Letter>& all, size_t i) {
  for (size_t k = i; all[k].joined; --k)
    if (all[k - 1].letter != all[i].letter) return true;
  for (size_t k = i + 1; k < all.size() && all[k].joined; ++k)
    if (all[k].letter != all[i].letter) return true;
  return false;
}

// "the correct answer is d.": a small letter right after a cue that nothing but an end follows.
std::optional<Choice> small_letter(std::string_view text, size_t from) {
  for (size_t at = text.size(); at-- > from;) {
    if (text[at] < 'a' || text[at] > 'j') continue;
    if (at == 0 || word_byte(text, at - 1) || std::string_view(" (*$:").find(text[at - 1]) == std::string_view::npos) continue;
    std::string_view behind = text.substr(at + 1);
    while (!behind.empty() && std::string_view(")*$. \t").find(behind.front()) != std::string_view::npos) behind.remove_prefix(1);
    if (!behind.empty() && behind.front() != '\n') continue;
    if (at + 1 < text.size() && std::string_view(")*$. \t\n").find(text[at + 1]) == std::string_view::npos) continue;
    if (said_before(text.substr(0, at)) == Said::kRight) return Choice{char(text[at] - 32), std::string(1, text[at]), AnswerPlace::kPhrase};
  }
  return std::nullopt;
}

// The only letter of a marked place.
char only_letter(std::string_view body) {
  if (const char c = option_letter(body, true)) return c;
  const std::string s = bare(body);
  if (s.size() > 60) return '\0';
  char found = '\0';
  for (const Letter& one : letters_of(s)) {
    if (one.said == Said::kDenied) continue;
    if (found && found != one.letter) return '\0';
    found = one.letter;
  }
  // a letter inside an expression (A + 3) names no option
  return s.find_first_of("+=^<>\\") == s.npos ? found : '\0';
}

std::optional<Choice> stated(std::string_view text, const std::vector<Letter>& all) {
  for (size_t i = all.size(); i-- > 0;) {
    if (all[i].said != Said::kRight) continue;
    return Choice{hedged(all, i) ? '\0' : all[i].letter, std::string(text.substr(all[i].at, 1)), AnswerPlace::kPhrase};
  }
  return std::nullopt;
}

std::optional<Choice> bracketed(std::string_view text, const std::vector<Letter>& all) {
  for (size_t i = all.size(); i-- > 0;) {
    const size_t at = all[i].at;
    if (all[i].said == Said::kDenied || at == 0 || at + 1 >= text.size() || text[at - 1] != '(' || text[at + 1] != ')') continue;
    if (at > 1 && word_byte(text, at - 2)) continue;
    return Choice{hedged(all, i) ? '\0' : all[i].letter, std::string(text.substr(at - 1, 3)), AnswerPlace::kPhrase};
  }
  return std::nullopt;
}

std::optional<Choice> last_line(std::string_view text) {
  std::string_view line = trim(text);
  line = trim(line.substr(line.rfind('\n') + 1));
  if (const char c = option_letter(line)) {
    bool others = false;
    for (const Letter& one : letters_of(line)) others |= one.letter != c && one.said != Said::kDenied && one.at < 12;
    if (!others) return Choice{c, std::string(line.substr(0, 200)), AnswerPlace::kPhrase};
  }
  char found = '\0';
  size_t at = 0;
  for (const Letter& one : letters_of(line)) {
    if (one.said == Said::kDenied) continue;
    if (found && found != one.letter) return std::nullopt;
    found = one.letter, at = one.at;
  }
  if (!found) return std::nullopt;
  const std::string_view behind = line.substr(at + 1);
  const bool ends =
      behind.find_first_not_of(".)*$}] ") == behind.npos && (at == 0 || !std::isdigit(static_cast<unsigned char>(line[at - 1])));
  const bool begins =
      at == 0 && (behind.starts_with("。") || behind.starts_with("，") || behind.starts_with(".") || behind.starts_with(","));
  if (!ends && !begins) return std::nullopt;
  return Choice{found, std::string(1, found), AnswerPlace::kPhrase};
}

}  // namespace

char option_letter(std::string_view answer, bool any_case) {
  const std::string s = bare(answer.substr(0, 4'000));
  std::string_view t = s;
  const bool bracket = t.starts_with("(");
  if (bracket) t.remove_prefix(1);
  if (t.empty()) return '\0';
  char c = t[0];
  const bool small = any_case && c >= 'a' && c <= 'j';
  if (small) c = char(c - 32);
  if (c < 'A' || c > 'J') return '\0';
  t.remove_prefix(1);
  if (t.empty() || t == "." || t == ")" || t == ").") return c;
  if (small) return '\0';
  if (t[0] == ')' || (!bracket && (t[0] == '.' || t[0] == ':'))) return c;
  return '\0';
}

std::optional<Choice> extract_choice(std::string_view completion, bool strict) {
  const auto rest = after_thought(completion);
  if (!rest) return std::nullopt;
  bool cut = false;
  if (const auto marked = marked_text(*rest, &cut)) return Choice{only_letter(marked->text), marked->text, marked->place};
  if (cut || strict) return std::nullopt;
  if (const std::string_view whole = trim(*rest); whole.size() <= 3)
    if (const char c = option_letter(whole, true)) return Choice{c, std::string(whole), AnswerPlace::kPhrase};
  const std::vector<Letter> all = letters_of(*rest);
  size_t capital = 0;  // what is said last counts
  for (const Letter& one : all)
    if (one.said == Said::kRight) capital = one.at;
  if (auto found = small_letter(*rest, capital)) return found;
  if (auto found = stated(*rest, all)) return found;
  if (auto found = bracketed(*rest, all)) return found;
  return last_line(*rest);
}

}  // namespace r1::verify
