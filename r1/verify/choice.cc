#include "r1/verify/choice.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "r1/verify/answer.h"

namespace r1::verify {
namespace {

bool alnum(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || (static_cast<unsigned char>(c) & 0x80);
}
bool blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
char low(char c) {
  return char(std::tolower(static_cast<unsigned char>(c)));
}
std::string_view trim(std::string_view s) {
  while (!s.empty() && blank(s.front())) s.remove_prefix(1);
  while (!s.empty() && blank(s.back())) s.remove_suffix(1);
  return s;
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

// The word (lower case) that ends before `at`, over blanks and the signs that may stand between a word and its letter.
struct Before {
  std::string word;
  size_t begin;
};
Before word_before(std::string_view text, size_t at) {
  while (at > 0 && (blank(text[at - 1]) || std::string_view(":=-(*$\"'.,#>").find(text[at - 1]) != std::string_view::npos)) --at;
  size_t begin = at;
  while (begin > 0 && std::isalpha(static_cast<unsigned char>(text[begin - 1])) && at - begin < 20) --begin;
  std::string word;
  for (char c : text.substr(begin, at - begin)) word += low(c);
  return {word, begin};
}

// A letter that stands for an option: capital A-J between other signs than letters and digits. An "A" or "I" before a small word is an
// article or a pronoun unless a reason follows.
bool stands_alone(std::string_view text, size_t at) {
  if (text[at] < 'A' || text[at] > 'J') return false;
  if (at > 0 && (alnum(text[at - 1]) || text[at - 1] == '\\' || text[at - 1] == '_')) return false;
  if (at + 1 < text.size() && (alnum(text[at + 1]) || text[at + 1] == '\'' || text[at + 1] == '_')) return false;
  if (text[at] != 'A' && text[at] != 'I') return true;
  size_t next = at + 1;
  while (next < text.size() && text[next] == ' ') ++next;
  if (next == at + 1 || next >= text.size() || !std::islower(static_cast<unsigned char>(text[next]))) return true;
  size_t end = next;
  while (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end]))) ++end;
  const std::string_view word = text.substr(next, end - next);
  for (std::string_view reason : {"because", "since", "as", "is", "and", "or", "which", "for"})
    if (word == reason) return true;
  return false;
}

// Is a second letter joined to the one at `at`: "A or B", "A, B", "A and B", "A/B"?
bool hedged(std::string_view text, size_t at) {
  size_t i = at + 1;
  const auto skip = [&](std::string_view signs) {
    while (i < text.size() && signs.find(text[i]) != signs.npos) ++i;
  };
  skip(")]}$* ");
  bool joined = false;
  if (i < text.size() && (text[i] == ',' || text[i] == '/' || text[i] == '&')) joined = true, ++i;
  skip(" ");
  for (std::string_view link : {"or ", "and "})
    if (text.substr(i).starts_with(link)) joined = true, i += link.size();
  skip(" ([{$*");
  return joined && i < text.size() && stands_alone(text, i) && text[i] != text[at];
}

// The only letter that stands alone in a marked place.
char only_letter(std::string_view body) {
  if (const char c = option_letter(body)) return c;
  const std::string s = bare(body);
  char found = '\0';
  for (size_t i = 0; i < s.size(); ++i) {
    if (!stands_alone(s, i)) continue;
    if (found && found != s[i]) return '\0';
    found = s[i];
  }
  if (s.size() > 60) return '\0';
  // a letter inside an expression (A + 3) names no option
  return s.find_first_of("+=^<>\\") == s.npos ? found : '\0';
}

bool links(std::string_view word) {
  for (std::string_view w : {"is", "be", "must", "should", "would", "will", "therefore", "thus", "letter"})
    if (word == w) return true;
  return false;
}
std::optional<Choice> stated(std::string_view text) {
  for (size_t at = text.size(); at-- > 0;) {
    if (!stands_alone(text, at)) continue;
    Before before = word_before(text, at);
    for (int words = 0; words < 3 && links(before.word); ++words) before = word_before(text, before.begin);
    for (std::string_view cue : {"answer", "option", "choice", "ans", "correct", "answers"}) {
      if (before.word != cue) continue;
      return Choice{hedged(text, at) ? '\0' : text[at], std::string(1, text[at]), AnswerPlace::kPhrase};
    }
  }
  return std::nullopt;
}

std::optional<Choice> bracketed(std::string_view text) {
  for (size_t i = text.size(); i-- > 2;)
    if (text[i] == ')' && text[i - 2] == '(' && text[i - 1] >= 'A' && text[i - 1] <= 'J' && (i == 2 || !alnum(text[i - 3])))
      return Choice{text[i - 1], std::string(text.substr(i - 2, 3)), AnswerPlace::kPhrase};
  return std::nullopt;
}

std::optional<Choice> last_line(std::string_view text) {
  std::string_view line = trim(text);
  line = trim(line.substr(line.rfind('\n') + 1));
  if (const char c = option_letter(line)) return Choice{c, std::string(line), AnswerPlace::kPhrase};
  while (!line.empty() && std::string_view(".)*$}] ").find(line.back()) != std::string_view::npos) line.remove_suffix(1);
  if (line.size() > 1 && stands_alone(line, line.size() - 1) && !std::isdigit(static_cast<unsigned char>(line[line.size() - 2])))
    return Choice{line.back(), std::string(1, line.back()), AnswerPlace::kPhrase};
  return std::nullopt;
}

}  // namespace

char option_letter(std::string_view answer) {
  const std::string s = bare(answer.substr(0, 4'000));
  std::string_view t = s;
  const bool bracket = t.starts_with("(");
  if (bracket) t.remove_prefix(1);
  if (t.empty() || t[0] < 'A' || t[0] > 'J') return '\0';
  const char c = t[0];
  t.remove_prefix(1);
  if (t.empty() || t == "." || t == ")" || t == ").") return c;
  if (t[0] == ')' || (!bracket && (t[0] == '.' || t[0] == ':'))) return c;
  return '\0';
}

std::optional<Choice> extract_choice(std::string_view completion, bool strict) {
  const auto rest = after_thought(completion);
  if (!rest) return std::nullopt;
  const auto marked = extract_marked(*rest);
  if (marked) return Choice{only_letter(marked->text), marked->text, marked->place};
  if (strict) return std::nullopt;
  if (auto found = stated(*rest)) return found;
  if (auto found = bracketed(*rest)) return found;
  return last_line(*rest);
}

char find_option(std::string_view completion) {
  const auto choice = extract_choice(completion);
  return choice ? choice->letter : '\0';
}

}  // namespace r1::verify
