#include "r1/verify/answer.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "r1/verify/expression.h"

namespace r1::verify {
namespace {

std::string_view trim(std::string_view s) {
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.front()))) s.remove_prefix(1);
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back()))) s.remove_suffix(1);
  return s;
}
std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = char(std::tolower(static_cast<unsigned char>(c)));
  return out;
}
bool letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c));
}

struct Box {
  size_t begin, end;
  std::string_view body;
};
std::vector<Box> boxes_of(std::string_view text, bool unclosed) {
  std::vector<Box> found;
  for (size_t at = 0; (at = text.find("boxed{", at)) != text.npos;) {
    const size_t start = at + 6;
    int depth = 1;
    size_t i = start;
    for (; i < text.size() && depth; ++i) {
      if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '{' || text[i + 1] == '}')) {
        ++i;
        continue;
      }
      depth += (text[i] == '{') - (text[i] == '}');
    }
    if (depth && !unclosed) break;
    const size_t stop = depth ? text.size() : i - 1;
    found.push_back({at, std::min(i, text.size()), text.substr(start, stop - start)});
    at = std::max(i, start);
    if (found.size() > 2'000) found.erase(found.begin(), found.begin() + 1'000);
  }
  return found;
}

// May two boxes with this between them be one list?
bool joins(std::string_view gap) {
  if (gap.size() > 60) return false;
  const std::string l = lower(gap);
  std::string words;
  for (size_t i = 0; i < l.size(); ++i) {
    if (l[i] == '\\') {  // a command's name is no word
      while (i + 1 < l.size() && letter(l[i + 1])) ++i;
      continue;
    }
    words += l[i];
  }
  if (words.find("\n\n") != words.npos) return false;
  if (std::none_of(words.begin(), words.end(), letter)) return words.find('.') == words.npos;
  // words: the last one before the next box links ("for part (a) and"), names of one letter aside ("and y_2 =")
  for (;;) {
    while (!words.empty() && !letter(words.back())) words.pop_back();
    size_t start = words.size();
    while (start > 0 && letter(words[start - 1])) --start;
    const std::string last = words.substr(start);
    if (last.size() != 1) return last == "and" || last == "or";
    words.resize(start);
  }
}

std::optional<std::string> boxed_answer(std::string_view text, BoxChoice choice, bool unclosed) {
  const std::vector<Box> all = boxes_of(text, unclosed);
  if (all.empty()) return std::nullopt;
  size_t first = choice == BoxChoice::kFirst ? 0 : all.size() - 1, last = first;
  if (choice == BoxChoice::kLast)
    while (first > 0 && joins(text.substr(all[first - 1].end, all[first].begin - all[first - 1].end))) --first;
  else
    while (last + 1 < all.size() && joins(text.substr(all[last].end, all[last + 1].begin - all[last].end))) ++last;
  std::string joined;
  for (size_t i = first; i <= last; ++i) {
    const std::string body(trim(all[i].body));
    if (i > first) {
      if (joined == body) continue;
      joined += ", ";
    }
    joined += body;
  }
  return joined;
}

// A find in the text: where it ends, and what it is.
struct Found {
  size_t end;
  std::string text;
};

// Inside of the last formula. Dollars and round brackets may not span lines.
std::optional<Found> last_formula(std::string_view text) {
  struct Mark {
    std::string_view open, close;
    bool lines;
  };
  size_t best_end = 0;
  std::optional<std::string> best;
  for (const Mark& m : {Mark{"\\[", "\\]", true}, Mark{"\\(", "\\)", false}, Mark{"$$", "$$", true}}) {
    const size_t close = text.rfind(m.close);
    if (close == text.npos || close == 0 || close + m.close.size() <= best_end) continue;
    const size_t open = text.rfind(m.open, close - 1);
    if (open == text.npos || open + m.open.size() > close) continue;
    const std::string_view body = trim(text.substr(open + m.open.size(), close - open - m.open.size()));
    if (body.empty() || (!m.lines && text.substr(open, close - open).find('\n') != text.npos)) continue;
    best_end = close + m.close.size();
    best = std::string(body);
  }
  // single dollars, paired from the left on each line
  size_t line = 0;
  while (line < text.size()) {
    const size_t stop = std::min(text.find('\n', line), text.size());
    const std::string_view l = text.substr(line, stop - line);
    size_t open = l.npos;
    for (size_t i = 0; i < l.size(); ++i) {
      if (l[i] == '\\') {
        ++i;
        continue;
      }
      if (l[i] != '$') continue;
      if (i + 1 < l.size() && l[i + 1] == '$') {
        ++i;
        continue;
      }
      if (open == l.npos) {
        open = i;
        continue;
      }
      const std::string_view body = trim(l.substr(open + 1, i - open - 1));
      if (!body.empty() && line + i + 1 > best_end) best_end = line + i + 1, best = std::string(body);
      open = l.npos;
    }
    line = stop + 1;
  }
  if (!best) return std::nullopt;
  return Found{best_end, std::move(*best)};
}

std::optional<std::string> phrase(std::string_view text) {
  const std::string l = lower(text);
  size_t best = l.npos, length = 0;
  for (std::string_view p : {"answer is", "answer:", "answer =", "answer should be", "answer is:", "answer\n"}) {
    const size_t at = l.rfind(p);
    if (at != l.npos && (best == l.npos || at + p.size() > best + length)) best = at, length = p.size();
  }
  if (best == l.npos) return std::nullopt;
  std::string_view rest = text.substr(best + length);
  while (!rest.empty() && (std::isspace(static_cast<unsigned char>(rest.front())) || rest.front() == ':' || rest.front() == '*' ||
                           rest.front() == '"' || rest.starts_with("\\\"")))
    rest.remove_prefix(1);
  if (rest.starts_with("\\[") || rest.starts_with("$$")) {
    const size_t close = rest.find(rest[0] == '$' ? "$$" : "\\]", 2);
    if (close != rest.npos) return std::string(trim(rest.substr(2, close - 2)));
  }
  rest = rest.substr(0, rest.find('\n'));
  // to the end of the sentence: a stop before a blank or the end
  bool formula = false;
  for (size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] == '\\') {
      ++i;
      continue;
    }
    formula ^= rest[i] == '$';
    if (!formula && rest[i] == '.' && (i + 1 == rest.size() || rest[i + 1] == ' ' || rest[i + 1] == '*' || rest[i + 1] == '"')) {
      rest = rest.substr(0, i);
      break;
    }
  }
  while (!rest.empty() && (rest.back() == '*' || rest.back() == '"' || rest.back() == ' ')) {
    rest.remove_suffix(1);
    if (rest.ends_with("\\") && !rest.ends_with("\\\\")) rest.remove_suffix(1);  // \"
  }
  if (rest.empty()) return std::nullopt;
  return std::string(rest);
}

bool reads_whole(std::string_view text) {
  if (text.empty() || text.size() > 2'000) return false;
  try {
    parse_expression(text);
    return true;
  } catch (const ParseError&) {
    return false;
  }
}

// The last number or simple fraction of the text, with thousands and decimals.
std::optional<Found> last_number(std::string_view text) {
  const size_t skipped = text.size() > 4'000 ? text.size() - 4'000 : 0;
  text.remove_prefix(skipped);
  const auto digit = [&](size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
  size_t end = text.size();
  for (;; --end) {
    if (end == 0) return std::nullopt;
    if (!digit(end - 1)) continue;
    if (end < text.size() && letter(text[end]) && end + 1 < text.size() && std::isupper(static_cast<unsigned char>(text[end])))
      continue;  // 2A
    size_t begin = end - 1;
    while (begin > 0 && (digit(begin - 1) || ((text[begin - 1] == ',' || text[begin - 1] == '.' || text[begin - 1] == '/') &&
                                              digit(begin) && begin > 1 && digit(begin - 2))))
      --begin;
    if (begin > 0 && text[begin - 1] == '.') --begin;
    if (begin > 0 && letter(text[begin - 1])) {  // AZYUK2: part of a name
      end = begin + 1;
      while (end > 1 && (letter(text[end - 2]) || digit(end - 2))) --end;
      continue;
    }
    if (begin > 0 && text[begin - 1] == '-' && (begin == 1 || !(digit(begin - 2) || letter(text[begin - 2]) || text[begin - 2] == ')')))
      --begin;
    std::string number(text.substr(begin, end - begin));
    std::string_view after = text.substr(end);
    while (!after.empty() && (after.front() == ' ' || after.front() == '$' || after.front() == '\\')) after.remove_prefix(1);
    if (after.starts_with("%") || lower(after.substr(0, 7)) == "percent" || lower(after.substr(0, 3)) == "pct") number += "%";
    return Found{skipped + end, std::move(number)};
  }
}

// The last formula or number, whichever ends later (a number inside a formula is part of it).
std::optional<std::string> last_find(std::string_view text) {
  auto formula = last_formula(text);
  auto number = last_number(text);
  if (formula && (!number || formula->end + 1 >= number->end)) return std::move(formula->text);
  if (number) return std::move(number->text);
  return std::nullopt;
}

std::optional<ExtractedAnswer> marked(std::string_view text, BoxChoice boxes, bool unclosed) {
  if (const auto block = last_answer_block(text)) {
    if (auto box = boxed_answer(*block, boxes, unclosed)) return ExtractedAnswer{std::move(*box), AnswerPlace::kAnswerTag};
    return ExtractedAnswer{std::string(trim(*block)), AnswerPlace::kAnswerTag};
  }
  if (auto box = boxed_answer(text, boxes, unclosed)) return ExtractedAnswer{std::move(*box), AnswerPlace::kBoxed};
  if (const size_t hashes = text.rfind("####"); hashes != text.npos) {
    std::string_view line = text.substr(hashes + 4);
    line = trim(line.substr(0, line.find('\n')));
    if (!line.empty()) return ExtractedAnswer{std::string(line), AnswerPlace::kHashes};
  }
  return std::nullopt;
}

}  // namespace

std::optional<ExtractedAnswer> extract_answer(std::string_view completion, BoxChoice boxes) {
  const auto rest = after_thought(completion);
  if (!rest) return std::nullopt;
  if (auto found = marked(*rest, boxes, false)) {
    // "The final answer is 7" behind the last box is later than the box
    const size_t box = rest->rfind("boxed{");
    if (found->place == AnswerPlace::kBoxed && boxes == BoxChoice::kLast &&
        lower(rest->substr(box)).find("final answer is") != std::string::npos) {
      if (auto stated = phrase(rest->substr(box)); stated && reads_whole(*stated) && stated->find("boxed") == stated->npos)
        return ExtractedAnswer{std::move(*stated), AnswerPlace::kPhrase};
    }
    return found;
  }
  const std::string_view text = trim(*rest);
  if (text.empty()) return std::nullopt;
  if (reads_whole(text)) return ExtractedAnswer{std::string(text), AnswerPlace::kPhrase};
  if (auto found = phrase(text)) {
    if (reads_whole(*found)) return ExtractedAnswer{std::move(*found), AnswerPlace::kPhrase};
    if (auto last = last_find(*found)) return ExtractedAnswer{std::move(*last), AnswerPlace::kPhrase};
    return ExtractedAnswer{std::move(*found), AnswerPlace::kPhrase};
  }
  if (auto last = last_find(text)) return ExtractedAnswer{std::move(*last), AnswerPlace::kLastNumber};
  if (text.size() <= 100) return ExtractedAnswer{std::string(text), AnswerPlace::kPhrase};
  return std::nullopt;
}

ExtractedAnswer extract_gold(std::string_view gold) {
  if (auto found = marked(gold, BoxChoice::kLast, true)) return std::move(*found);
  const std::string_view text = trim(gold);
  if (text.size() > 200 || (!reads_whole(text) && text.find('$') != text.npos)) {
    if (auto found = phrase(text); found && reads_whole(*found)) return {std::move(*found), AnswerPlace::kPhrase};
    if (auto formula = last_formula(text); formula && reads_whole(formula->text)) return {std::move(formula->text), AnswerPlace::kPhrase};
  }
  return {std::string(text), AnswerPlace::kNone};
}

std::string normalized_text(std::string_view text) {
  static constexpr std::string_view kWrapping[] = {"text", "textbf", "textit",       "textrm",     "mathrm", "mathbf",
                                                   "mbox", "emph",   "operatorname", "textnormal", "boxed",  "displaystyle"};
  std::string out;
  std::vector<bool> dropped;  // for each open brace: is it a wrapping command's?
  size_t letters = 0;
  bool wrapping = false, gap = false, signs = false;
  const auto put = [&](char c) {
    if (gap && !out.empty() && std::isalnum(static_cast<unsigned char>(out.back())) && std::isalnum(static_cast<unsigned char>(c)))
      out += ' ';
    gap = false;
    out += c;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') {
      size_t end = i + 1;
      while (end < text.size() && letter(text[end])) ++end;
      const std::string_view name = text.substr(i + 1, end - i - 1);
      wrapping = std::find(std::begin(kWrapping), std::end(kWrapping), name) != std::end(kWrapping);
      if (name.empty() && end < text.size()) {  // \, \; \! and the like are layout; \{ \} \% are signs
        if (std::string_view(",;:! \n$()[]").find(text[end]) == std::string_view::npos) put('\\'), put(text[end]);
        gap |= text[end] != '!';
        i = end;
        continue;
      }
      i = end - 1;
      if (wrapping || name == "left" || name == "right" || name == "quad") continue;
      const bool fraction = name == "dfrac" || name == "tfrac";
      put('\\');
      out += fraction ? "frac" : name;
      gap = true;
      signs = true;
      continue;
    }
    if (std::isspace(static_cast<unsigned char>(c)) || c == '~') {
      gap = true;
      continue;
    }
    if (c == '$') continue;
    if (c == '{') {
      dropped.push_back(wrapping || out.empty());
      wrapping = false;
      if (dropped.back()) continue;
    } else if (c == '}' && !dropped.empty()) {
      const bool drop = dropped.back();
      dropped.pop_back();
      if (drop) continue;
    }
    wrapping = false;
    letters += letter(c);
    signs |= std::string_view("+*/=<>^_|!").find(c) != std::string_view::npos;
    put(c);
  }
  // marks around the whole: quotes, Markdown's stars, a final stop
  while (!out.empty() && std::string_view(".,;\"'*").find(out.back()) != std::string_view::npos) out.pop_back();
  while (!out.empty() && std::string_view("\"'*").find(out.front()) != std::string_view::npos) out.erase(0, 1);
  return letters >= 3 && !signs ? lower(out) : out;
}

std::optional<ExtractedAnswer> extract_marked(std::string_view text, BoxChoice boxes) {
  return marked(text, boxes, false);
}

}  // namespace r1::verify
