#include "r1/verify/answer.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "r1/verify/expression.h"

namespace r1::verify {
namespace {

bool letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c));
}

// ---- boxes that stand together ----

// May two boxes with this between them be one list? Nothing but signs and names of one letter ("$, $y ="), or words of which the last
// links ("for part (a) and"); not over a paragraph, nor over a full stop without such a word.
bool joins(std::string_view gap) {
  if (gap.size() > 60 || gap.find("\n\n") != gap.npos) return false;
  const std::string l = lower_case(gap);
  std::string last;  // word of more than one letter
  for (size_t i = 0; i < l.size(); ++i) {
    if (l[i] == '\\') {  // a command's name is no word
      while (i + 1 < l.size() && letter(l[i + 1])) ++i;
      continue;
    }
    size_t end = i;
    while (end < l.size() && letter(l[end])) ++end;
    if (end > i + 1) last = l.substr(i, end - i);
    if (end > i) i = end - 1;
  }
  return last.empty() ? l.find('.') == l.npos : last == "and" || last == "or";
}

// "x =" right before a box names its value; "" if nothing does.
std::string name_before(std::string_view text) {
  const auto back = [&](std::string_view signs) {
    while (!text.empty() && signs.find(text.back()) != signs.npos) text.remove_suffix(1);
  };
  back(" $");
  if (!text.ends_with('=')) return "";
  text.remove_suffix(1);
  back(" &");
  size_t begin = text.size();
  while (begin > 0 && (std::isdigit(static_cast<unsigned char>(text[begin - 1])) || text[begin - 1] == '_')) --begin;
  if (begin == 0 || !letter(text[begin - 1])) return "";
  --begin;
  if (begin > 0 && (letter(text[begin - 1]) || text[begin - 1] == '\\' || text[begin - 1] == '^' || text[begin - 1] == '+' ||
                    text[begin - 1] == '-' || text[begin - 1] == '*' || text[begin - 1] == ')' || text[begin - 1] == '}' ||
                    std::isdigit(static_cast<unsigned char>(text[begin - 1]))))
    return "";
  const std::string name(text.substr(begin));
  return name.size() > 1 && name[1] != '_' ? "" : name;
}

std::string joined_boxes(std::string_view text, const std::vector<Box>& all, BoxChoice choice) {
  size_t first = choice == BoxChoice::kFirst ? 0 : all.size() - 1, last = first;
  if (choice == BoxChoice::kLast)
    while (first > 0 && joins(text.substr(all[first - 1].end, all[first].begin - all[first - 1].end))) --first;
  else
    while (last + 1 < all.size() && joins(text.substr(all[last].end, all[last + 1].begin - all[last].end))) ++last;
  std::string joined;
  for (size_t i = first; i <= last; ++i) {
    std::string body(trim(all[i].body));
    if (first < last) {
      const std::string name = name_before(text.substr(0, all[i].begin));
      if (!name.empty() && body.find('=') == body.npos) body = name + " = " + body;
    }
    if (i > first) {
      if (joined == body) continue;
      joined += ", ";
    }
    joined += body;
  }
  return joined;
}

// ---- values in running text ----

// A find in the text: where it is, marks included, and what it is.
struct Found {
  size_t begin, end;
  std::string text;
};

// Inside of the last formula. Dollars and round brackets may not span lines.
std::optional<Found> last_formula(std::string_view text) {
  struct Mark {
    std::string_view open, close;
    bool lines;
  };
  size_t best_begin = 0, best_end = 0;
  std::optional<std::string> best;
  for (const Mark& m : {Mark{"\\[", "\\]", true}, Mark{"\\(", "\\)", false}, Mark{"$$", "$$", true}}) {
    const size_t close = text.rfind(m.close);
    if (close == text.npos || close == 0 || close + m.close.size() <= best_end) continue;
    const size_t open = text.rfind(m.open, close - 1);
    if (open == text.npos || open + m.open.size() > close) continue;
    const std::string_view body = trim(text.substr(open + m.open.size(), close - open - m.open.size()));
    if (body.empty() || (!m.lines && text.substr(open, close - open).find('\n') != text.npos)) continue;
    best_begin = open;
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
      if (!body.empty() && line + i + 1 > best_end) best_begin = line + open, best_end = line + i + 1, best = std::string(body);
      open = l.npos;
    }
    line = stop + 1;
  }
  if (!best) return std::nullopt;
  return Found{best_begin, best_end, std::move(*best)};
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
    if (const std::string_view head = text.substr(0, begin); head.ends_with("\xE2\x88\x92")) {  // the sign minus, U+2212
      const std::string_view left = trim(head.substr(0, head.size() - 3));
      if (left.empty() || !(letter(left.back()) || left.back() == ')' || std::isdigit(static_cast<unsigned char>(left.back())))) begin -= 3;
    }
    std::string number(text.substr(begin, end - begin));
    std::string_view after = text.substr(end);
    while (!after.empty() && (after.front() == ' ' || after.front() == '$' || after.front() == '\\')) after.remove_prefix(1);
    if (after.starts_with("%") || lower_case(after.substr(0, 7)) == "percent" || lower_case(after.substr(0, 3)) == "pct") number += "%";
    return Found{skipped + begin, skipped + end, std::move(number)};
  }
}

// What a text says: a value, nothing, or that it won't say (`open`: "not 2", "either 1 or 2").
struct Said {
  std::optional<std::string> text;
  bool open = false;
};

// The last formula or number, whichever ends later (a number inside a formula is part of it).
std::optional<Found> last_find(std::string_view text) {
  auto formula = last_formula(text);
  auto number = last_number(text);
  if (formula && (!number || formula->end + 1 >= number->end)) return formula;
  return number;
}

// "42 squared", "42 plus 1", "42 is wrong": the words right after a value that make another one of it or take it back.
bool worked_on(std::string_view after) {
  const auto next = [&after] {
    while (!after.empty() && std::string_view(" $*").find(after.front()) != std::string_view::npos) after.remove_prefix(1);
    const size_t end = std::min<size_t>(after.find_first_of(" .,;\n*"), std::min<size_t>(after.size(), 12));
    const std::string word = lower_case(after.substr(0, end));
    after.remove_prefix(end);
    return word;
  };
  std::string word = next();
  if (word == "isn't" || word == "cannot" || word == "can't") return true;
  if (word == "is" || word == "was") {
    word = next();
    return word == "not" || word == "wrong" || word == "incorrect" || word == "false" || word == "impossible" || word == "too";
  }
  return word == "squared" || word == "cubed" || word == "factorial" || word == "times" || word == "plus" || word == "minus";
}

// The last value, with those that "and" or "or" join to it: "1, 2 or 3" is the list of the three.
Said last_said(std::string_view text) {
  auto found = last_find(text);
  if (!found) return {};
  size_t begin = found->begin;
  std::string value = std::move(found->text);
  bool linked = false;
  for (int members = 0; members < 20; ++members) {
    std::string_view before = trim(text.substr(0, begin));
    const std::string end = lower_case(before.substr(before.size() - std::min<size_t>(before.size(), 4)));
    size_t cut = end.ends_with(" and") ? 4 : end.ends_with(" or") ? 3 : linked && end.ends_with(",") ? 1 : 0;
    if (!cut) break;
    before = trim(before.substr(0, before.size() - cut));
    if (before.ends_with(',')) before = trim(before.substr(0, before.size() - 1));
    const size_t offset = size_t(before.data() - text.data());
    const auto previous = last_find(before);
    if (!previous || previous->end != before.size()) break;
    linked = true;
    begin = offset + previous->begin;
    value = previous->text + ", " + value;
  }
  if (taken_back(text.substr(0, begin)) || worked_on(text.substr(found->end))) return {std::nullopt, true};
  return {std::move(value), false};
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

// What follows the last "answer is", to the end of its sentence; nullopt if there is none. `withdrawn`: it is taken back right after.
std::optional<std::string_view> stated(std::string_view text, bool* withdrawn) {
  const std::string l = lower_case(text);
  size_t best = l.npos, length = 0;
  for (std::string_view p :
       {"answer is", "answer:", "answer =", "answer should be", "answer is:", "answer\n", "answer must be", "answer would be",
        "\xE7\xAD\x94\xE6\xA1\x88\xE6\x98\xAF", "\xE7\xAD\x94\xE6\xA1\x88\xEF\xBC\x9A"}) {  // 答案是, 答案：
    const size_t at = l.rfind(p);
    if (at == l.npos || (at + p.size() < l.size() && letter(p.back()) && (letter(l[at + p.size()]) || l[at + p.size()] == '\''))) continue;
    if (best == l.npos || at + p.size() > best + length) best = at, length = p.size();
  }
  if (best == l.npos) return std::nullopt;
  *withdrawn = false;
  for (std::string_view words :
       {"no wait", "wait, no", "no, wait", "wait no", "scratch that", "correction:", "i mean", "sorry,", "... no,"})
    *withdrawn |= l.substr(best, 160).find(words) != l.npos;
  std::string_view rest = text.substr(best + length);
  while (!rest.empty() && (std::isspace(static_cast<unsigned char>(rest.front())) || rest.front() == ':' || rest.front() == '*' ||
                           rest.front() == '"' || rest.starts_with("\\\"")))
    rest.remove_prefix(1);
  if (rest.starts_with("\\[") || rest.starts_with("$$")) {
    const size_t close = rest.find(rest[0] == '$' ? "$$" : "\\]", 2);
    if (close != rest.npos) return trim(rest.substr(2, close - 2));
  }
  rest = rest.substr(0, rest.find('\n'));
  rest = rest.substr(0, rest.find("\xE3\x80\x82"));  // 。
  for (std::string_view remark : {", I'm ", ", I am ", ", I think", ", I believe"}) rest = rest.substr(0, rest.find(remark));
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
  return rest;
}

// What a stated answer comes to: the whole of it, or its part before a reason, or its last value.
Said value_of_statement(std::string_view rest) {
  if (reads_whole(rest)) return {std::string(rest), false};
  const std::string l = lower_case(rest);
  size_t cut = rest.size();
  for (std::string_view reason :
       {" because", " since ", ", so ", ", which", " which ", " as ", " (", ";", ", not ", " (not", ", but ", " and not "})
    cut = std::min(cut, std::min(l.find(reason), rest.size()));
  const std::string_view head = trim(rest.substr(0, cut));
  if (cut < rest.size() && !head.empty() && head.back() != ',' && reads_whole(head)) return {std::string(head), false};
  Said said = last_said(head.empty() ? rest : head);
  if (!said.text && !said.open && cut < rest.size()) said = last_said(rest);
  if (said.text || said.open) return said;
  return {std::string(rest), false};
}

// One line of LaTeX without prose around it. If it can't be read as a whole, its last number is not its value: 72 \\frac{\\text{m}}{..}.
bool formula_alone(std::string_view text) {
  if (text.size() > 200 || text.find('\n') != text.npos || text.find('$') != text.npos || text.find("\\(") != text.npos ||
      text.find("\\[") != text.npos)
    return false;
  bool commands = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool command = text[i] == '\\';
    size_t end = i + command;
    while (end < text.size() && letter(text[end])) ++end;
    const size_t length = end - i - command;
    if (command) commands |= length > 0;
    if (command && length && text.substr(i + 1, length).starts_with("text") && end < text.size() && text[end] == '{')
      end = std::min(text.find('}', end), text.size());
    if (!command && length >= 3) return false;
    i = std::max(end, i + 1) - 1;
  }
  return commands;
}

// A text without marks.
std::optional<ExtractedAnswer> unmarked(std::string_view text) {
  text = trim(text);
  while (text.size() > 1 && (text.front() == '`' || text.front() == '*') && text.back() == text.front())
    text = trim(text.substr(1, text.size() - 2));
  while (text.starts_with('=')) text = trim(text.substr(1));
  if (text.empty()) return std::nullopt;
  if (reads_whole(text)) return ExtractedAnswer{std::string(text), AnswerPlace::kPhrase};
  bool withdrawn = false;
  if (const auto rest = stated(text, &withdrawn); rest && !rest->empty()) {
    Said said = value_of_statement(*rest);
    if (!said.text || withdrawn) return std::nullopt;
    return ExtractedAnswer{std::move(*said.text), AnswerPlace::kPhrase};
  }
  if (formula_alone(text)) return ExtractedAnswer{std::string(text), AnswerPlace::kPhrase};
  Said said = last_said(text);
  if (said.text) return ExtractedAnswer{std::move(*said.text), AnswerPlace::kLastNumber};
  if (!said.open && text.size() <= 100) return ExtractedAnswer{std::string(text), AnswerPlace::kPhrase};
  return std::nullopt;
}

// What a box holds: mathematics, or a sentence with one value in it ("\text{3 apples}", "the area is 10").
std::string box_value(std::string_view body) {
  body = trim(body);
  if (reads_whole(body)) return std::string(body);
  std::string plain;
  for (size_t i = 0; i < body.size(); ++i) {  // \text{..} is what it holds
    if (body[i] == '\\' && body.substr(i).starts_with("\\text")) {
      while (i + 1 < body.size() && letter(body[i + 1])) ++i;
      continue;
    }
    if (body[i] != '{' && body[i] != '}') plain += body[i];
  }
  const std::string l = lower_case(plain);
  bool words = false, denied = false;
  size_t numbers = 0;
  for (size_t i = 0; i < l.size();) {
    size_t end = i;
    while (end < l.size() && (letter(l[end]) || l[end] == '\'')) ++end;
    const std::string word = l.substr(i, end - i);
    words |= word.size() > 2;
    denied |= word == "not" || word == "no" || word == "never" || word == "or" || word == "and" || word == "neither" || word == "nor" ||
              word == "except" || word == "for" || word == "if" || word == "when" || word == "to" || word.ends_with("n't");
    if (end > i) {
      i = end;
      continue;
    }
    while (end < l.size() && (std::isdigit(static_cast<unsigned char>(l[end])) ||
                              ((l[end] == '.' || l[end] == ',' || l[end] == '/') && end > i && end + 1 < l.size() &&
                               std::isdigit(static_cast<unsigned char>(l[end + 1])))))
      ++end;
    numbers += end > i;
    i = std::max(end, i + 1);
  }
  if (words && !denied && numbers == 1 && plain.find_first_of("\\^_<>|") == plain.npos)
    if (auto found = last_number(plain)) return std::move(found->text);
  return std::string(body);
}

// A mark, and what stands in it as it is written.
struct Marked {
  std::optional<ExtractedAnswer> answer;
  bool cut = false;  // a mark that does not close, or one without an answer: nothing else is looked for
};
Marked raw_mark(std::string_view text, BoxChoice choice) {
  if (const AnswerBlock block = answer_block(text); block.body || block.cut) {
    if (block.cut) return {std::nullopt, true};
    Marked inside = raw_mark(*block.body, choice);  // a block holds no block, so this ends
    if (!inside.answer && !inside.cut) inside.answer = ExtractedAnswer{std::string(trim(*block.body)), AnswerPlace::kNone};
    if (inside.answer && inside.answer->place != AnswerPlace::kNone) return inside;
    if (inside.answer) inside.answer->place = AnswerPlace::kAnswerTag;
    return inside;
  }
  const Boxes boxes = boxes_of(text);
  if (boxes.cut && (choice == BoxChoice::kLast || boxes.closed.empty())) return {std::nullopt, true};
  if (!boxes.closed.empty()) return {ExtractedAnswer{joined_boxes(text, boxes.closed, choice), AnswerPlace::kBoxed}, false};
  if (const size_t hashes = text.rfind("####"); hashes != text.npos) {
    std::string_view line = text.substr(hashes + 4);
    line = trim(line.substr(0, line.find('\n')));
    if (!line.empty()) return {ExtractedAnswer{std::string(line), AnswerPlace::kHashes}, false};
  }
  return {};
}

// The same with the value that stands there. Bare text in a block is read by the rules of a text without marks.
Marked marked(std::string_view text, BoxChoice choice) {
  Marked found = raw_mark(text, choice);
  if (!found.answer) return found;
  if (found.answer->place == AnswerPlace::kAnswerTag) {
    if (auto said = unmarked(found.answer->text))
      found.answer->text = std::move(said->text);
    else
      return {std::nullopt, true};
  } else if (found.answer->place == AnswerPlace::kBoxed) {
    found.answer->text = box_value(found.answer->text);
  }
  return found;
}

}  // namespace

std::optional<ExtractedAnswer> extract_answer(std::string_view completion, BoxChoice choice) {
  const auto rest = after_thought(completion);
  if (!rest) return std::nullopt;
  Marked found = marked(*rest, choice);
  if (found.cut) return std::nullopt;
  if (!found.answer) return unmarked(*rest);
  if (found.answer->place == AnswerPlace::kBoxed && choice == BoxChoice::kLast && !answer_block(*rest).body) {
    // "The final answer is 7" after the last box is later than the box
    const std::string_view tail = rest->substr(boxes_of(*rest).closed.back().end);
    bool withdrawn = false;
    if (lower_case(tail).find("final answer is") != std::string::npos)
      if (const auto said = stated(tail, &withdrawn); said && !withdrawn && reads_whole(*said))
        return ExtractedAnswer{std::string(*said), AnswerPlace::kPhrase};
  }
  return std::move(found.answer);
}

std::optional<ExtractedAnswer> marked_text(std::string_view text, bool* cut, BoxChoice choice) {
  Marked found = raw_mark(text, choice);
  *cut = found.cut;
  return std::move(found.answer);
}

std::optional<ExtractedAnswer> extract_marked(std::string_view text, BoxChoice choice) {
  return std::move(marked(text, choice).answer);
}

ExtractedAnswer extract_gold(std::string_view gold) {
  if (auto found = marked(gold, BoxChoice::kLast).answer) return std::move(*found);
  const std::string_view text = trim(gold);
  bool withdrawn = false;
  if (!reads_whole(text) && (text.size() > 200 || text.find('$') != text.npos))
    if (const auto said = stated(text, &withdrawn); said && !withdrawn && reads_whole(*said))
      return {std::string(*said), AnswerPlace::kPhrase};
  return {std::string(text), AnswerPlace::kNone};
}

GoldKind gold_kind(std::string_view gold) {
  const std::string text = extract_gold(gold).text;
  if (reads_whole(text)) return GoldKind::kMathematics;
  const bool formula = text.find_first_of("$\\=^") != text.npos || last_number(text).has_value();
  return formula && normalized_text(text).find(' ') != std::string::npos ? GoldKind::kMixed : GoldKind::kText;
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
  // marks around the whole: quotes and Markdown's stars in pairs, a final stop
  const auto stops = [&] {
    while (!out.empty() && std::string_view(".,;").find(out.back()) != std::string_view::npos) out.pop_back();
  };
  stops();
  while (out.size() > 1 && out.front() == out.back() && std::string_view("\"'*").find(out.front()) != std::string_view::npos)
    out = out.substr(1, out.size() - 2), stops();
  // Case counts in signs and units (MPa is not mPa), not in words.
  size_t run = 0, longest = 0;
  bool digits = false;
  for (char c : out) {
    run = letter(c) ? run + 1 : 0;
    longest = std::max(longest, run);
    digits |= c >= '0' && c <= '9';
  }
  if (out == "No" || out == "NO") return "no";
  return letters >= 3 && !signs && (!digits || longest >= 4) ? lower_case(out) : out;
}

}  // namespace r1::verify
