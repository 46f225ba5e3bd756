#include "r1/grammar/ebnf.h"

#include <algorithm>
#include <unordered_map>

#include "r1/base/error.h"

namespace r1::grammar {

namespace {

class Parser {
 public:
  Parser(Expressions& x, std::string_view text) : x_(x), text_(text) {}

  int32_t parse() {
    if (text_.size() > x_.budget().limits().text) refuse("the grammar is longer than the allowed ", x_.budget().limits().text, " bytes");
    for (skip(true); more(); skip(true)) {
      const std::string_view rule = name();
      if (rule.empty()) refuse("expected a rule's name");
      skip(false);
      if (!take("::=")) refuse("expected ::= after '", printable(rule), "'");
      const int32_t id = rule_of(rule);
      if (x_.rules()[size_t(id)].body >= 0) refuse("rule '", printable(rule), "' is given twice");
      x_.set_rule(id, choice(false));
    }
    for (const auto& [rule, use] : first_use_)
      if (x_.rules()[size_t(rule)].body < 0) {
        at_ = use;
        refuse("rule '", printable(x_.rules()[size_t(rule)].name), "' is used but not given");
      }
    const auto root = rules_.find("root");
    if (root == rules_.end() || x_.rules()[size_t(root->second)].body < 0) refuse("there is no rule 'root'");
    return root->second;
  }

 private:
  static constexpr int64_t kMostRepeats = 10'000;

  template <class... Args>
  [[noreturn]] void refuse(const Args&... args) const {
    const auto line = 1 + std::count(text_.begin(), text_.begin() + int64_t(std::min(at_, text_.size())), '\n');
    fail_usage("[grammar] line ", line, ": ", args...);
  }
  bool more() const { return at_ < text_.size(); }
  char peek() const { return more() ? text_[at_] : '\0'; }
  bool take(std::string_view s) {
    if (text_.substr(at_, s.size()) != s) return false;
    at_ += s.size();
    return true;
  }
  void skip(bool lines) {
    while (more()) {
      const char c = peek();
      if (c == '#') {
        while (more() && peek() != '\n') ++at_;
      } else if (c == ' ' || c == '\t' || c == '\r' || (lines && c == '\n')) {
        ++at_;
      } else {
        break;
      }
    }
  }
  static bool is_name(char c) { return std::isalnum(uint8_t(c)) || c == '-' || c == '_'; }
  std::string_view name() {
    const size_t begin = at_;
    while (more() && is_name(peek())) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  int32_t rule_of(std::string_view rule) {
    const auto it = rules_.find(std::string(rule));
    if (it != rules_.end()) return it->second;
    return rules_[std::string(rule)] = x_.new_rule(std::string(rule), false);
  }

  // At the end of a line: does the next one begin another rule, or is the text over?
  bool rule_ends() {
    const size_t here = at_;
    skip(true);
    bool ends = !more();
    if (!name().empty()) {
      skip(false);
      ends = text_.substr(at_, 3) == "::=";
    }
    at_ = here;
    return ends;
  }

  // Blanks after an element; false where the sequence is over.
  bool go_on(bool nested) {
    skip(nested);
    if (!nested && (peek() == '\n' || !more())) {
      if (rule_ends()) return false;
      skip(true);
    }
    return more() && peek() != '|' && peek() != ')';
  }

  Node choice(bool nested) {
    std::vector<Node> alternatives{sequence(nested)};
    while (take("|")) alternatives.push_back(sequence(nested));
    if (!nested && peek() == ')') refuse("')' without its '('");
    return x_.choice(std::move(alternatives));
  }

  Node sequence(bool nested) {
    std::vector<Node> parts;
    while (go_on(nested)) parts.push_back(repeated());
    return x_.concat(std::move(parts));
  }

  Node repeated() {
    Node node = element();
    for (;;) {
      if (take("*"))
        node = x_.star(node);
      else if (take("+"))
        node = x_.repeat(node, 1, kNoLimit);
      else if (take("?"))
        node = x_.optional(node);
      else if (peek() == '{')
        node = counted(node);
      else
        return node;
    }
  }

  Node counted(Node node) {
    ++at_;
    const int64_t min = number();
    int64_t max = min;
    skip(false);
    if (take(",")) {
      skip(false);
      max = peek() == '}' ? kNoLimit : number();
      skip(false);
    }
    if (!take("}") || min > max) refuse("expected {n}, {n,} or {n,m}");
    return x_.repeat(node, min, max);
  }
  int64_t number() {
    skip(false);
    int64_t n = 0;
    const size_t begin = at_;
    for (; more() && std::isdigit(uint8_t(peek())); ++at_) n = std::min<int64_t>(10 * n + (peek() - '0'), kMostRepeats + 1);
    if (at_ == begin) refuse("expected a count");
    if (n > kMostRepeats) refuse("expected counts up to ", kMostRepeats);
    return n;
  }

  Node element() {
    const char c = peek();
    if (c == '"') return literal();
    if (c == '[') return char_class();
    if (take(".")) return x_.any_char();
    if (c == '(') return group();
    if (c == '<' || c == '!') refuse("tokens (<..>) are not supported; write their text in quotes");
    const size_t here = at_;
    const std::string_view rule = name();
    if (rule.empty()) refuse("expected a literal, a class, a group or a rule's name, got '", printable(text_.substr(at_, 20)), "'");
    const int32_t id = rule_of(rule);
    first_use_.try_emplace(id, here);
    return x_.rule(id);
  }

  Node group() {
    if (++depth_ > x_.budget().limits().depth) refuse("groups nest deeper than the allowed ", x_.budget().limits().depth);
    const size_t begin = at_++;
    const Node node = choice(true);
    if (!take(")")) {
      at_ = begin;
      refuse("'(' without its ')'");
    }
    --depth_;
    return node;
  }

  Node literal() {
    const size_t begin = at_++;
    std::string out;
    while (peek() != '"' || !more()) {
      if (!more() || peek() == '\n') {
        at_ = begin;
        refuse("the literal has no end");
      }
      append_utf8(out, character());
    }
    ++at_;
    return x_.literal(out);
  }

  Node char_class() {
    const size_t begin = at_++;
    const bool negated = take("^");
    text::RangeSet set;
    while (peek() != ']') {
      if (!more() || peek() == '\n') {
        at_ = begin;
        refuse("the class has no end");
      }
      const uint32_t low = character();
      uint32_t high = low;
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        if (!more()) continue;
        high = character();
        if (low > high) refuse("expected a range from a smaller to a larger character");
      }
      x_.budget().spend_steps(1 + int64_t(set.size()) / 4);
      set = text::unite(std::move(set), {{low, high}});
    }
    ++at_;
    if (set.empty() && !negated) refuse("an empty class matches nothing");
    return x_.chars(negated ? text::complement(set) : set);
  }

  uint32_t character() {
    if (!take("\\")) {
      uint32_t cp = 0;
      const int n = decode_utf8(text_.data() + at_, text_.data() + text_.size(), &cp);
      if (cp == kInvalidChar) refuse("invalid UTF-8");
      at_ += size_t(n);
      return cp;
    }
    const char c = peek();
    ++at_;
    switch (c) {
      case 'x':
        return hex(2);
      case 'u':
        return hex(4);
      case 'U':
        return hex(8);
      case 't':
        return '\t';
      case 'r':
        return '\r';
      case 'n':
        return '\n';
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
      case '/':
        return uint32_t(c);
      default:
        refuse("unknown escape '\\", printable(std::string(1, c)), "'");
    }
  }
  uint32_t hex(int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; ++i, ++at_) {
      const char c = peek();
      if (!std::isxdigit(uint8_t(c))) refuse("expected ", count, " hex digits");
      value = value * 16 + uint64_t(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    if (value >= kInvalidChar || (value >= 0xD800 && value < 0xE000)) refuse("expected a code point");
    return uint32_t(value);
  }

  Expressions& x_;
  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  std::unordered_map<std::string, int32_t> rules_;
  std::unordered_map<int32_t, size_t> first_use_;
};

}  // namespace

int32_t parse_ebnf(Expressions& x, std::string_view text) {
  return Parser(x, text).parse();
}

}  // namespace r1::grammar
