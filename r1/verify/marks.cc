#include "r1/verify/marks.h"

#include <algorithm>
#include <cctype>
#include <iterator>

namespace r1::verify {
namespace {

bool letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c));
}
bool blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool digit(char c) {
  return c >= '0' && c <= '9';
}

// Where the brace that opens at `open` closes, npos if it doesn't. A character after a backslash opens and closes nothing.
size_t closing_brace(std::string_view text, size_t open) {
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
      continue;
    }
    depth += (text[i] == '{') - (text[i] == '}');
    if (depth == 0) return i;
  }
  return text.npos;
}

// The end of a box command's name whose "box" stands at `at`; 0 if that is no box. "boxed{" counts without its backslash, which files lose.
size_t box_name_end(std::string_view text, size_t at, size_t& begin) {
  begin = at;
  while (begin > 0 && letter(text[begin - 1]) && at - begin < 8) --begin;
  size_t end = at + 3;
  while (end < text.size() && letter(text[end]) && end - at < 8) ++end;
  const std::string_view name = text.substr(begin, end - begin);
  const bool slash = begin > 0 && (text[begin - 1] == '\\' || text[begin - 1] == '\f' || text[begin - 1] == '\b');
  if (slash) {
    --begin;
    if (name == "boxed" || name == "fbox" || name == "framebox") return end;
    return 0;
  }
  return name == "boxed" && end < text.size() && text[end] == '{' ? end : 0;
}

// The last word of `text` in lower case, over blanks and signs of layout; `text` is cut before it. "" at the beginning or another sign.
std::string pop_word(std::string_view& text) {
  while (!text.empty() && (blank(text.back()) || std::string_view("$({}[*\"'`~=").find(text.back()) != std::string_view::npos)) {
    text.remove_suffix(1);
    if (text.ends_with('\\')) text.remove_suffix(1);  // \( and \[
  }
  size_t begin = text.size();
  while (begin > 0 && (letter(text[begin - 1]) || text[begin - 1] == '\'' || (static_cast<unsigned char>(text[begin - 1]) & 0x80))) --begin;
  std::string word = lower_case(text.substr(begin));
  for (size_t at; (at = word.find("\xE2\x80\x99")) != std::string::npos;) word.replace(at, 3, "'");
  text = text.substr(0, begin);
  return word;
}

template <size_t N>
bool among(const std::string& word, const char* const (&list)[N]) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

}  // namespace

std::string lower_case(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? char(c + 32) : c;
  return out;
}

const char* answer_place_rule(AnswerPlace place) {
  static const char* const rules[] = {"nothing was found", "inside the last <answer>..</answer>", "after the last ####",
                                      "the last box",      "what the text says its answer is",    "the last number or formula of the text"};
  return rules[int(place)];
}
const char* answer_place_name(AnswerPlace place) {
  static const char* const names[] = {"none", "answer_tag", "hashes", "boxed", "phrase", "last_number"};
  return names[int(place)];
}

std::optional<std::string_view> after_thought(std::string_view completion) {
  const size_t open = completion.rfind("<think>"), close = completion.rfind("</think>");
  if (open != completion.npos && (close == completion.npos || close < open)) return std::nullopt;
  return close == completion.npos ? completion : completion.substr(close + 8);
}

AnswerBlock answer_block(std::string_view text) {
  AnswerBlock out;
  const size_t last = text.rfind("<answer>"), close = text.rfind("</answer>");
  out.cut = last != text.npos && (close == text.npos || close < last);
  if (close == text.npos || out.cut) return out;
  const size_t open = text.substr(0, close).rfind("<answer>");
  if (open != text.npos) out.body = text.substr(open + 8, close - open - 8);
  return out;
}

Boxes boxes_of(std::string_view text) {
  Boxes found;
  for (size_t at = 0; (at = text.find("box", at)) != text.npos;) {
    size_t begin = 0;
    const size_t name_end = box_name_end(text, at, begin);
    at += 3;
    if (!name_end) continue;
    size_t open = name_end;
    while (open < text.size() && blank(text[open])) ++open;
    if (open < text.size() && text[open] == '[' && text.find(']', open) < open + 20) open = text.find(']', open) + 1;  // \framebox[3cm]
    while (open < text.size() && blank(text[open])) ++open;
    if (open >= text.size()) {
      found.cut = true;
      break;
    }
    if (text[open] == '{') {
      const size_t close = closing_brace(text, open);
      if (close == text.npos) {
        found.cut = true;
        break;
      }
      found.closed.push_back({begin, close + 1, text.substr(open + 1, close - open - 1)});
      at = close + 1;
    } else if (open > name_end && (digit(text[open]) || (text[open] == '-' && open + 1 < text.size() && digit(text[open + 1])))) {
      size_t end = open + 1;
      while (end < text.size() && (digit(text[end]) || ((text[end] == '.' || text[end] == ',' || text[end] == '/') &&
                                                        end + 1 < text.size() && digit(text[end + 1]))))
        ++end;
      found.closed.push_back({begin, end, text.substr(open, end - open)});
      at = end;
    }
    if (found.closed.size() > 2'000) found.closed.erase(found.closed.begin(), found.closed.begin() + 1'000);
  }
  return found;
}

bool taken_back(std::string_view before) {
  static const char* const kBack[] = {"not",    "isn't",   "isnt",     "aren't",   "wasn't",    "never",     "neither", "nor",
                                      "cannot", "can't",   "without",  "except",   "unless",    "unlike",    "either",  "whether",
                                      "won't",  "doesn't", "don't",    "non",      "excluding", "ne",        "neq",     "nicht",
                                      "pas",    "kein",    "keine",    "couldn't", "wouldn't",  "shouldn't", "twice",   "half",
                                      "double", "triple",  "negative", "minus",    "plus",      "times"};
  static const char* const kFiller[] = {"be",   "equal",      "equals", "to",     "the",   "a",      "an", "exactly",
                                        "just", "simply",     "only",   "number", "value", "answer", "it", "is",
                                        "was",  "definitely", "really", "merely", "quite", "x"};
  before = before.substr(before.size() - std::min<size_t>(before.size(), 120));
  const std::string_view end = trim(before);
  if (end.ends_with(" !=") || end.ends_with("\xE2\x89\xA0")) return true;  // x != 2; but 5!= 120
  for (int words = 0; words < 5; ++words) {
    const std::string word = pop_word(before);
    if (word.empty()) return false;
    if (among(word, kBack) || word.ends_with("\xE4\xB8\x8D\xE6\x98\xAF")) return true;  // 不是
    if (word == "than") {                                                               // other than 2; less than 2
      const std::string how = pop_word(before);
      return how == "other" || how == "rather" || how == "less" || how == "more" || how.ends_with("er");
    }
    if (word == "but") {  // all but 8
      const std::string all = pop_word(before);
      return all == "all" || all == "anything" || all == "everything";
    }
    if (word == "of") {  // half of 42
      const std::string part = pop_word(before);
      return part == "instead" || part == "half" || part == "third" || part == "quarter" || part == "square" || part == "cube" ||
             part == "root" || part == "multiple" || part == "factorial" || part == "one" || part == "two" || part == "none";
    }
    if (word == "least" || word == "most") return pop_word(before) == "at";
    if (!among(word, kFiller)) return false;
  }
  return false;
}

}  // namespace r1::verify
