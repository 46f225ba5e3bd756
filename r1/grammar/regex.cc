#include "r1/grammar/regex.h"

#include <algorithm>
#include <optional>

#include "r1/base/error.h"
#include "r1/grammar/automaton.h"

namespace r1::grammar {

namespace {

using text::Range;
using text::RangeSet;

const RangeSet kDigits = {{'0', '9'}};
const RangeSet kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const RangeSet kSpace = {{9, 13},          {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
                         {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const RangeSet kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class Parser {
 public:
  Parser(Expressions& x, std::string_view pattern, std::string_view where) : x_(x), text_(pattern), where_(where) {}

  Node parse() {
    if (text_.size() > x_.budget().limits().text) refuse("the pattern is longer than the allowed ", x_.budget().limits().text, " bytes");
    flags();
    const Node node = choice();
    if (at_ < text_.size()) refuse("')' without its '('");
    return node;
  }

 private:
  static constexpr int64_t kMostRepeats = 10'000;

  template <class... Args>
  [[noreturn]] void refuse(const Args&... args) const {
    fail_usage("[", where_, "] ", args..., " at offset ", at_, " of the pattern '", printable(text_), "'");
  }
  bool more() const { return at_ < text_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool take(std::string_view s) {
    if (text_.substr(at_, s.size()) != s) return false;
    at_ += s.size();
    return true;
  }
  uint32_t code_point() {
    uint32_t cp = 0;
    const int n = decode_utf8(text_.data() + at_, text_.data() + text_.size(), &cp);
    if (cp == kInvalidChar) refuse("invalid UTF-8");
    at_ += size_t(n);
    return cp;
  }

  void flags() {
    if (!text_.starts_with("(?") || (peek(2) != 'i' && peek(2) != 's')) return;
    size_t i = 2;
    for (; i < text_.size() && (text_[i] == 'i' || text_[i] == 's'); ++i) (text_[i] == 'i' ? ignore_case_ : dot_all_) = true;
    if (peek(i) != ')') refuse("a group of this kind is not supported");
    at_ = i + 1;
  }

  Node choice() {
    std::vector<Node> alternatives{sequence()};
    while (take("|")) alternatives.push_back(sequence());
    return x_.choice(std::move(alternatives));
  }

  Node sequence() {
    std::vector<Node> parts;
    while (more() && peek() != '|' && peek() != ')') parts.push_back(repeated());
    return x_.concat(std::move(parts));
  }

  Node repeated() {
    bool anchor = false;
    Node node = atom(&anchor);
    for (bool first = true; more(); first = false) {
      int64_t min = 0, max = kNoLimit;
      const size_t begin = at_;
      if (take("*")) {
      } else if (take("+")) {
        min = 1;
      } else if (take("?")) {
        max = 1;
      } else if (!counts(&min, &max)) {
        break;
      }
      if (anchor || !first) {
        at_ = begin;
        refuse(anchor ? "a repeat of an anchor is not supported" : "a repeat of a repeat is not supported; put the first into a group");
      }
      if (peek() == '+') refuse("possessive repeats are not supported");
      take("?");
      if (min > max) refuse("expected the smaller count first");
      node = x_.repeat(node, min, max);
    }
    return node;
  }

  // {n}, {n,}, {n,m}; anything else with a brace is a literal.
  bool counts(int64_t* min, int64_t* max) {
    if (peek() != '{') return false;
    size_t i = at_ + 1;
    const auto number = [&]() -> std::optional<int64_t> {
      const size_t begin = i;
      int64_t n = 0;
      for (; i < text_.size() && text_[i] >= '0' && text_[i] <= '9'; ++i)
        n = std::min<int64_t>(n * 10 + (text_[i] - '0'), kMostRepeats + 1);
      return i > begin ? std::optional(n) : std::nullopt;
    };
    const auto low = number();
    if (!low) return false;
    *min = *max = *low;
    if (i < text_.size() && text_[i] == ',') {
      ++i;
      const auto high = number();
      *max = high ? *high : kNoLimit;
    }
    if (i >= text_.size() || text_[i] != '}') return false;
    if (*min > kMostRepeats || (*max != kNoLimit && *max > kMostRepeats)) refuse("expected counts up to ", kMostRepeats);
    at_ = i + 1;
    return true;
  }

  Node atom(bool* anchor) {
    switch (peek()) {
      case '(':
        return group();
      case '[':
        return chars(char_class());
      case '.':
        ++at_;
        return x_.chars(dot_all_ ? all_code_points() : text::complement(kLineEnds));
      case '^':
        ++at_, *anchor = true;
        return x_.text_start();
      case '$':
        ++at_, *anchor = true;
        return x_.text_end();
      case '*':
      case '+':
      case '?':
        refuse("nothing to repeat");
      case '\\':
        if (peek(1) == 'A' || peek(1) == 'z' || peek(1) == 'Z') {
          *anchor = true;
          at_ += 2;
          return text_[at_ - 1] == 'A' ? x_.text_start() : x_.text_end();
        }
        return chars(escape(false));
      default:
        break;
    }
    const uint32_t cp = code_point();
    return chars({{cp, cp}});
  }

  Node group() {
    if (++depth_ > x_.budget().limits().depth) refuse("groups nest deeper than the allowed ", x_.budget().limits().depth);
    const size_t begin = at_;
    ++at_;
    if (take("?")) {
      if (take("=") || take("!") || take("<=") || take("<!")) {
        at_ = begin;
        refuse("lookaround is not supported");
      }
      if (take("P<") || take("<")) {
        while (more() && peek() != '>') ++at_;
        if (!take(">")) refuse("the group's name has no end");
      } else if (!take(":")) {
        at_ = begin;
        refuse(peek(2) == '>'                     ? "atomic groups are not supported"
               : peek(2) == 'P' || peek(2) == '(' ? "back references and conditions are not supported"
                                                  : "a group of this kind is not supported");
      }
    } else if (peek() == '*') {
      refuse("verbs are not supported");
    }
    const Node node = choice();
    if (!take(")")) {
      at_ = begin;
      refuse("'(' without its ')'");
    }
    --depth_;
    return node;
  }

  Node chars(RangeSet set) {
    x_.budget().spend_steps(int64_t(set.size()));
    if (ignore_case_) {
      RangeSet other;
      for (char c = 'a'; c <= 'z'; ++c)
        for (const Range& r : set) {
          const auto lower = uint32_t(c), upper = lower - 32;
          if (r.first <= lower && lower <= r.last) other.push_back({upper, upper});
          if (r.first <= upper && upper <= r.last) other.push_back({lower, lower});
        }
      set = text::unite(std::move(set), other);
    }
    return x_.chars(set);
  }

  // After '\': a class, or one code point.
  RangeSet escape(bool in_class) {
    const size_t begin = at_++;
    const auto refuse_here = [&](const auto&... args) {
      at_ = begin;
      refuse(args...);
    };
    if (!more()) refuse_here("a '\\' ends the pattern");
    const auto one = [](uint32_t cp) { return RangeSet{{cp, cp}}; };
    const uint32_t cp = code_point();
    switch (cp) {
      case 'd':
        return kDigits;
      case 'D':
        return text::complement(kDigits);
      case 'w':
        return kWord;
      case 'W':
        return text::complement(kWord);
      case 's':
        return kSpace;
      case 'S':
        return text::complement(kSpace);
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 't':
        return one('\t');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case 'a':
        return one('\a');
      case 'e':
        return one(27);
      case '0':
        if (peek() >= '0' && peek() <= '9') refuse_here("octal escapes are not supported");
        return one(0);
      case 'c':
        if (!more() || !std::isalpha(uint8_t(peek()))) refuse_here("\\c wants a letter");
        return one(uint32_t(text_[at_++]) & 31);
      case 'x':
        return one(peek() == '{' ? braced() : hex(2));
      case 'u': {
        if (peek() == '{') return one(braced());
        uint32_t unit = hex(4);
        if (unit >= 0xD800 && unit < 0xDC00 && take("\\u")) {
          const uint32_t low = hex(4);
          if (low < 0xDC00 || low >= 0xE000) refuse_here("half of a surrogate pair");
          unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        }
        if (unit >= 0xD800 && unit < 0xE000) refuse_here("half of a surrogate pair");
        return one(unit);
      }
      case 'p':
      case 'P':
        return property(cp == 'P', begin);
      case 'b':
        if (in_class) return one('\b');
        [[fallthrough]];
      case 'B':
        refuse_here("word boundaries (\\b, \\B) are not supported");
        break;
      case 'k':
        refuse_here("back references are not supported");
        break;
      default:
        break;
    }
    if (cp >= '1' && cp <= '9') refuse_here("back references are not supported");
    if (cp < 128 && std::isalnum(int(cp))) refuse_here("the escape \\", char(cp), " is not supported");
    return one(cp);
  }

  uint32_t hex(size_t count) {
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i, ++at_) {
      const char c = peek();
      if (!more() || !std::isxdigit(uint8_t(c))) refuse("expected hex digits");
      value = value * 16 + uint32_t(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return value;
  }
  uint32_t braced() {
    ++at_;
    const size_t end = text_.find('}', at_);
    if (end == text_.npos || end == at_ || end - at_ > 6) refuse("expected one to six hex digits in braces");
    const uint32_t value = hex(end - at_);
    ++at_;
    if (value >= kInvalidChar || (value >= 0xD800 && value < 0xE000)) refuse("expected a code point");
    return value;
  }

  RangeSet property(bool negated, size_t begin) {
    std::string name;
    if (take("{")) {
      const size_t end = text_.find('}', at_);
      if (end == text_.npos) refuse("\\p{ without its '}'");
      name = text_.substr(at_, end - at_);
      at_ = end + 1;
    } else if (more()) {
      name = text_[at_++];
    }
    if (name.starts_with("^")) negated = !negated, name.erase(0, 1);
    for (const char* prefix : {"General_Category=", "gc="})
      if (name.starts_with(prefix)) name.erase(0, std::string_view(prefix).size());
    RangeSet set;
    if (!text::category_ranges(name, &set)) {
      at_ = begin;
      refuse("\\p{", printable(name), "} is not supported: only general categories are (L, Lu, N, ..)");
    }
    x_.budget().spend_steps(int64_t(set.size()));
    return negated ? text::complement(set) : set;
  }

  RangeSet char_class() {
    const size_t begin = at_++;
    const bool negated = take("^");
    RangeSet set;
    for (bool first = true; first || peek() != ']'; first = false) {
      if (!more()) {
        at_ = begin;
        refuse("'[' without its ']'");
      }
      if (first && peek() == ']') break;  // ECMAScript: [] is empty, [^] is everything
      if (peek() == '[' && (peek(1) == ':' || peek(1) == '.' || peek(1) == '=')) refuse("POSIX classes are not supported");
      if (text_.substr(at_, 2) == "&&" || text_.substr(at_, 2) == "--") refuse("set operations in a class are not supported");
      RangeSet low = class_atom();
      if (peek() == '-' && peek(1) != ']' && at_ + 1 < text_.size()) {
        const size_t dash = at_++;
        const RangeSet high = class_atom();
        const bool single = low.size() == 1 && high.size() == 1 && low[0].first == low[0].last && high[0].first == high[0].last;
        if (!single || low[0].first > high[0].first) {
          at_ = dash;
          refuse("expected a range from a smaller to a larger character");
        }
        low[0].last = high[0].first;
      }
      x_.budget().spend_steps(int64_t(low.size() + set.size()) / 4 + 1);
      set = text::unite(std::move(set), low);
    }
    ++at_;
    if (ignore_case_ && negated) {
      RangeSet both = set;
      for (const Range& r : set)
        for (uint32_t cp = r.first; cp <= std::min<uint32_t>(r.last, 127); ++cp)
          if (std::isalpha(int(cp))) both.push_back({cp ^ 32, cp ^ 32});
      set = text::unite(set, both);
    }
    return negated ? text::complement(set) : set;
  }

  RangeSet class_atom() {
    if (peek() == '\\') return escape(true);
    const uint32_t cp = code_point();
    return {{cp, cp}};
  }

  Expressions& x_;
  std::string_view text_, where_;
  size_t at_ = 0;
  int depth_ = 0;
  bool ignore_case_ = false, dot_all_ = false;
};

// Anchors are zero width: the result belongs into regular().
Node parse_regex(Expressions& x, std::string_view pattern, std::string_view where) {
  return Parser(x, pattern, where).parse();
}

}  // namespace

std::shared_ptr<const Dfa> regex_whole(Expressions& x, std::string_view pattern, std::string_view where) {
  return std::make_shared<const Dfa>(regular(x, parse_regex(x, pattern, where)));
}

std::shared_ptr<const Dfa> regex_search(Expressions& x, std::string_view pattern, std::string_view where) {
  const Node any = x.star(x.any_char());
  return std::make_shared<const Dfa>(regular(x, x.concat({any, parse_regex(x, pattern, where), any})));
}

}  // namespace r1::grammar
