#include "r1/text/jinja_lexer.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/text/jinja_value.h"

namespace r1::text::jinja {
namespace {

// Bytes of the whitespace character at s[at], 0 if it is none (also non-ASCII whitespace, as Python's \s).
size_t space_at(std::string_view s, size_t at) {
  if (at >= s.size()) return 0;
  const unsigned char c = static_cast<unsigned char>(s[at]);
  if (c < 0x80) return is_space(c) ? 1 : 0;
  const size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
  const auto decoded = to_utf32(s.substr(at, n));
  return decoded.size() == 1 && is_space(decoded[0]) ? n : 0;
}

size_t skip_space(std::string_view s, size_t at) {
  while (const size_t n = space_at(s, at)) at += n;
  return at;
}

std::string_view rstrip(std::string_view s) {
  for (;;) {
    size_t start = s.size();
    while (start > 0 && (static_cast<unsigned char>(s[start - 1]) & 0xC0) == 0x80 && s.size() - start < 3) --start;
    if (start == 0) return s;
    --start;
    if (space_at(s, start) != s.size() - start) return s;
    s = s.substr(0, start);
  }
}

bool word_byte(char c) {
  const unsigned char u = static_cast<unsigned char>(c);
  return (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || u == '_' || u >= 0x80;
}

bool digit(char c) {
  return c >= '0' && c <= '9';
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) {
    for (size_t i = 0; i < source.size(); ++i) {  // newlines are \n; one at the very end is dropped
      if (source[i] == '\r') {
        source_ += '\n';
        if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
      } else {
        source_ += source[i];
      }
    }
    if (source_.ends_with('\n')) source_.pop_back();
  }

  std::vector<Token> run() {
    while (at_ < source_.size()) root();
    add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  // Data up to the next tag, then the tag.
  void root() {
    const size_t open = next_tag(at_);
    if (open == std::string::npos) {
      add(TokenKind::kData, source_.substr(at_));
      at_ = source_.size();
      return;
    }
    const char type = source_[open + 1];
    size_t after = open + 2;
    const char sign = after < source_.size() && (source_[after] == '-' || source_[after] == '+') ? source_[after++] : 0;
    data(open, sign, type != '{');
    line_starting_ = false;
    at_ = after;
    if (type == '#') return comment();
    if (type == '{') {
      add(TokenKind::kVariableBegin, "");
      return inside("}}", TokenKind::kVariableEnd);
    }
    if (raw()) return;
    add(TokenKind::kBlockBegin, "");
    inside("%}", TokenKind::kBlockEnd);
  }

  size_t next_tag(size_t from) const {
    for (size_t p = from; (p = source_.find('{', p)) != std::string::npos; ++p) {
      if (p + 1 < source_.size() && (source_[p + 1] == '{' || source_[p + 1] == '%' || source_[p + 1] == '#')) return p;
    }
    return std::string::npos;
  }

  // Emits source_[at_, open): "-" strips all whitespace before the tag; blocks and comments lose the blanks before them if nothing else
  // stands on their line.
  void data(size_t open, char sign, bool may_lstrip) {
    std::string_view text = std::string_view(source_).substr(at_, open - at_);
    const size_t whole = text.size();
    if (sign == '-') {
      text = rstrip(text);
    } else if (sign != '+' && may_lstrip) {
      const size_t line = text.rfind('\n') + 1;  // npos + 1 == 0
      if ((line > 0 || line_starting_) && skip_space(text, line) == text.size()) text = text.substr(0, line);
    }
    add(TokenKind::kData, std::string(text));
    count_lines(at_, at_ + whole);
  }

  // "%}" closing at `p`, with its sign and the whitespace it eats; npos if none stands there. `trims`: a bare end eats one newline.
  size_t end_at(size_t p, std::string_view close, bool trims, bool plus) const {
    const std::string_view s = source_;
    if (s.substr(p).starts_with("-") && s.substr(p + 1).starts_with(close)) return skip_space(s, p + 1 + close.size());
    if (plus && s.substr(p).starts_with("+") && s.substr(p + 1).starts_with(close)) return p + 1 + close.size();
    if (!s.substr(p).starts_with(close)) return std::string::npos;
    p += close.size();
    return trims && p < s.size() && s[p] == '\n' ? p + 1 : p;
  }

  void move_to(size_t end) {
    count_lines(at_, end);
    line_starting_ = end > 0 && source_[end - 1] == '\n';
    at_ = end;
  }

  void comment() {
    for (size_t p = at_; p < source_.size(); ++p) {
      if (source_[p] != '#' && source_[p] != '-' && source_[p] != '+') continue;
      const size_t end = end_at(p, "#}", true, true);
      if (end != std::string::npos) return move_to(end);
    }
    template_error(line_, "missing end of comment tag");
  }

  // {% raw %} .. {% endraw %}: all of it is data. False if another block stands here.
  bool raw() {
    size_t p = skip_space(source_, at_);
    if (source_.compare(p, 3, "raw") != 0) return false;
    p = skip_space(source_, p + 3);
    const size_t begin = end_at(p, "%}", false, false);
    if (begin == std::string::npos) return false;
    move_to(begin);
    for (size_t open = at_; (open = source_.find("{%", open)) != std::string::npos; ++open) {
      size_t q = open + 2;
      const char sign = q < source_.size() && (source_[q] == '-' || source_[q] == '+') ? source_[q++] : 0;
      q = skip_space(source_, q);
      if (source_.compare(q, 6, "endraw") != 0) continue;
      const size_t end = end_at(skip_space(source_, q + 6), "%}", true, true);
      if (end == std::string::npos) continue;
      data(open, sign, true);
      at_ = open;
      move_to(end);
      return true;
    }
    template_error(line_, "missing end of raw directive");
  }

  void inside(std::string_view close, TokenKind end_kind) {
    std::string brackets;
    for (;;) {
      if (at_ >= source_.size()) template_error(line_, "unexpected end of template inside a tag");
      if (brackets.empty()) {
        const size_t end = end_at(at_, close, end_kind == TokenKind::kBlockEnd, end_kind == TokenKind::kBlockEnd);
        if (end != std::string::npos) {
          add(end_kind, "");
          return move_to(end);
        }
      }
      if (const size_t end = skip_space(source_, at_); end != at_) {
        move_to(end);
        continue;
      }
      const char c = source_[at_];
      if (digit(c))
        number();
      else if (word_byte(c))
        name();
      else if (c == '"' || c == '\'')
        string(c);
      else
        sign(brackets);
    }
  }

  void name() {
    size_t end = at_;
    while (end < source_.size() && word_byte(source_[end])) ++end;
    take(TokenKind::kName, end);
  }

  size_t digits(size_t p) const {
    while (p < source_.size() && (digit(source_[p]) || (source_[p] == '_' && p + 1 < source_.size() && digit(source_[p + 1])))) ++p;
    return p;
  }

  void number() {
    const auto at = [&](size_t p) { return p < source_.size() ? source_[p] : '\0'; };
    if (at(at_) == '0' && std::string_view("xXoObB").find(at(at_ + 1)) != std::string_view::npos && at(at_ + 1)) {
      size_t end = at_ + 2;
      while (std::isxdigit(static_cast<unsigned char>(at(end))) || at(end) == '_') ++end;
      return take(TokenKind::kInteger, end);
    }
    size_t end = digits(at_);
    bool real = false;
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (!after_dot && at(end) == '.' && digit(at(end + 1))) end = digits(end + 1), real = true;
    size_t e = end;
    if (!after_dot && (at(e) == 'e' || at(e) == 'E')) {
      ++e;
      if (at(e) == '+' || at(e) == '-') ++e;
      if (digit(at(e))) end = digits(e), real = true;
    }
    take(real ? TokenKind::kFloat : TokenKind::kInteger, end);
    std::string& text = tokens_.back().text;
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
  }

  // Escapes as Python's unicode-escape: an unknown one keeps its backslash.
  void string(char quote) {
    std::string out;
    size_t p = at_ + 1;
    const auto hex = [&](size_t n) {
      char32_t c = 0;
      for (size_t k = 0; k < n; ++k, ++p) {
        const char h = p < source_.size() ? source_[p] : 0;
        if (!std::isxdigit(static_cast<unsigned char>(h))) template_error(line_, "truncated escape in a string");
        c = c * 16 + char32_t(digit(h) ? h - '0' : (h | 32) - 'a' + 10);
      }
      append_character(out, c);
    };
    while (p < source_.size() && source_[p] != quote) {
      if (source_[p] != '\\') {
        out += source_[p++];
        continue;
      }
      if (++p >= source_.size()) break;
      const char c = source_[p++];
      static constexpr std::string_view from = "\\'\"abfnrtv", to = "\\'\"\a\b\f\n\r\t\v";
      if (const size_t k = from.find(c); k != from.npos)
        out += to[k];
      else if (c == '\n')
        continue;
      else if (c == 'x')
        hex(2);
      else if (c == 'u')
        hex(4);
      else if (c == 'U')
        hex(8);
      else if (c >= '0' && c <= '7') {
        char32_t v = char32_t(c - '0');
        for (int k = 0; k < 2 && p < source_.size() && source_[p] >= '0' && source_[p] <= '7'; ++k)
          v = v * 8 + char32_t(source_[p++] - '0');
        append_character(out, v);
      } else
        out += '\\', out += c;
    }
    if (p >= source_.size()) template_error(line_, "string without end");
    add(TokenKind::kString, std::move(out));
    count_lines(at_, p + 1);
    at_ = p + 1;
  }

  void sign(std::string& brackets) {
    static constexpr std::string_view two[] = {"//", "**", "==", "!=", "<=", ">="}, one = "+-*/%~[](){}=<>.:|,;";
    for (const std::string_view op : two) {
      if (source_.compare(at_, 2, op) == 0) return take(TokenKind::kOperator, at_ + 2);
    }
    const char c = source_[at_];
    if (one.find(c) == one.npos) template_error(line_, str("unexpected character '", c, "'"));
    if (c == '(' || c == '[' || c == '{') brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty() || brackets.back() != c) template_error(line_, str("unexpected '", c, "'"));
      brackets.pop_back();
    }
    take(TokenKind::kOperator, at_ + 1);
  }

  void take(TokenKind kind, size_t end) {
    add(kind, source_.substr(at_, end - at_));
    at_ = end;
  }

  void add(TokenKind kind, std::string text) {
    if (kind == TokenKind::kData && text.empty()) return;
    tokens_.push_back({kind, std::move(text), line_});
  }

  void count_lines(size_t begin, size_t end) { line_ += int(std::count(source_.begin() + long(begin), source_.begin() + long(end), '\n')); }

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

void template_error(int line, const std::string& what) {
  fail(line, ": ", what);
}

std::vector<Token> tokenize_template(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace r1::text::jinja
