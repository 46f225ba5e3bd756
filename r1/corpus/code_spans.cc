#include "r1/corpus/code_spans.h"

#include <algorithm>
#include <cctype>

#include "r1/base/strings.h"

namespace r1::corpus {
namespace {

constexpr size_t kMaxNested = 64;  // templates in templates

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || uint8_t(c) >= 0x80;
}
bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\f';
}

class Scanner {
 public:
  Scanner(std::string_view code, CodeKind kind) : code_(code), kind_(kind) {}

  std::optional<std::vector<CodeSpan>> run() {
    if (suspicious()) return std::nullopt;
    if (code_.starts_with("#!") && !code_.starts_with("#![")) add_line(0);  // a shebang; whoever strips comments keeps it
    while (ok_ && at_ < code_.size()) {
      const size_t before = at_;
      step();
      if (at_ == before) ++at_;
    }
    if (!ok_ || !templates_.empty()) return std::nullopt;
    return std::move(spans_);
  }

 private:
  using Kind = CodeSpan::Kind;
  bool c_family() const { return kind_ == CodeKind::kC || kind_ == CodeKind::kCpp; }
  bool script() const { return kind_ == CodeKind::kJavaScript || kind_ == CodeKind::kTypeScript; }
  char peek(size_t n = 0) const { return at_ + n < code_.size() ? code_[at_ + n] : '\0'; }
  bool here(std::string_view text) const { return code_.substr(at_).starts_with(text); }

  // What this scanner does not follow.
  bool suspicious() const {
    const auto has = [&](std::string_view text) { return code_.find(text) != code_.npos; };
    // A comment's sign cut in two by a line's end, trigraphs; escapes that stand for quotes and slashes outside of texts.
    if (c_family()) return has("/\\\n") || has("\?\?/") || has("*\\\n/");
    if (kind_ == CodeKind::kJava)
      for (const char* escape : {"\\u0022", "\\u0027", "\\u002a", "\\u002A", "\\u002f", "\\u002F", "\\u000a", "\\u000A", "\\u000d",
                                 "\\u000D", "\\u005c", "\\u005C"})
        if (has(escape)) return true;
    return false;
  }

  void add(Kind kind, size_t begin, size_t end, bool formatted = false) {
    spans_.push_back({kind, begin, std::min(end, code_.size()), formatted, in_directive_});
    at_ = spans_.back().end;
  }

  // A comment to the end of its line; in C a backslash at the end takes the next line too.
  void add_line(size_t begin) {
    size_t end = begin;
    while (true) {
      end = std::min(code_.find('\n', end), code_.size());
      size_t last = end;
      while (last > begin && is_blank(code_[last - 1])) --last;
      if (!c_family() || end == code_.size() || last == begin || code_[last - 1] != '\\') break;
      ++end;
    }
    if (end > begin && code_[end - 1] == '\r') --end;
    add(Kind::kLineComment, begin, end);
  }

  void add_block(size_t begin) {
    size_t i = begin + 2;
    for (int depth = 1; depth > 0;) {
      const size_t close = code_.find("*/", i);
      if (close == code_.npos) return void(ok_ = false);
      const size_t open = kind_ == CodeKind::kRust ? code_.substr(0, close).find("/*", i) : code_.npos;
      if (open < close) {
        ++depth;
        i = open + 2;
      } else {
        --depth;
        i = close + 2;
      }
    }
    const bool directive = in_directive_;
    add(Kind::kBlockComment, begin, i);
    in_directive_ = directive;
  }

  // A literal up to `quote`, with escapes; `lines`: it may go over several. False where it does not end.
  bool quoted_end(size_t i, std::string_view quote, bool escapes, bool lines, size_t& end) const {
    for (; i < code_.size(); ++i) {
      if (escapes && code_[i] == '\\') {
        // \ and CR LF are one line's end
        if (i + 2 < code_.size() && code_[i + 1] == '\r' && code_[i + 2] == '\n') ++i;
        ++i;
      } else if (code_.substr(i).starts_with(quote)) {
        end = i + quote.size();
        return true;
      } else if (code_[i] == '\n' && !lines) {
        return false;
      }
    }
    return false;
  }
  bool text(size_t begin, size_t from, std::string_view quote, bool escapes, bool lines) {
    size_t end = 0;
    if (!quoted_end(from, quote, escapes, lines, end)) return ok_ = false;
    add(Kind::kText, begin, end);
    significant_ = ')';
    word_ = {};
    return true;
  }

  void step() {
    const char c = peek();
    if (c == '\n') return newline();
    if (is_blank(c)) return void(++at_);
    if (c == '\\' && (peek(1) == '\n' || (peek(1) == '\r' && peek(2) == '\n'))) return void(at_ += peek(1) == '\n' ? 2 : 3);
    if (kind_ == CodeKind::kPython) return python();
    if (here("//")) return add_line(at_);
    if (here("/*")) return add_block(at_);
    if (c_family() && c == '#' && line_start_) return directive();
    line_start_ = false;
    if (script()) return javascript();
    if (kind_ == CodeKind::kRust) return rust();
    if (kind_ == CodeKind::kGo) return go();
    c_or_java();
  }

  void newline() {
    line_start_ = true;
    in_directive_ = false;
    ++at_;
  }

  // A word, or one sign.
  void code() {
    const size_t begin = at_;
    while (at_ < code_.size() && is_word(code_[at_])) ++at_;
    if (at_ == begin) {
      significant_ = code_[at_++];
      word_ = {};
    } else {
      significant_ = 'a';
      word_ = code_.substr(begin, at_ - begin);
    }
  }

  // ---- Python

  void python() {
    if (peek() == '#') return add_line(at_);
    const size_t begin = at_;
    size_t i = at_;
    while (i < code_.size() && i < begin + 3 && std::isalpha(static_cast<unsigned char>(code_[i]))) ++i;
    const std::string prefix = lower_ascii(code_.substr(begin, i - begin));
    const bool known = prefix.empty() || prefix == "r" || prefix == "b" || prefix == "u" || prefix == "f" || prefix == "br" ||
                       prefix == "rb" || prefix == "fr" || prefix == "rf";
    const char quote = i < code_.size() ? code_[i] : '\0';
    if (!known || (quote != '"' && quote != '\'')) return code();
    const bool triple = code_.substr(i).starts_with(std::string(3, quote));
    const std::string_view close = code_.substr(i, triple ? 3 : 1);
    size_t end = 0;
    // A backslash keeps a quote from ending even a raw text.
    if (!quoted_end(i + close.size(), close, true, triple, end)) return void(ok_ = false);
    const bool formatted = prefix.find('f') != std::string::npos;
    if (formatted && !closed_fields(code_.substr(i + close.size(), end - i - 2 * close.size()))) return void(ok_ = false);
    add(Kind::kText, begin, end, formatted);
  }
  // Braces of an f-string pair up: if not, a quote inside of a field ended it too early.
  static bool closed_fields(std::string_view text) {
    int depth = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '#' && depth > 0 && text.find('\n') != text.npos) return false;  // a comment in a field
      if (depth == 0 && (text.substr(i, 2) == "{{" || text.substr(i, 2) == "}}"))
        ++i;
      else if (text[i] == '{')
        ++depth;
      else if (text[i] == '}')
        --depth;
      if (depth < 0) return false;
    }
    return depth == 0;
  }

  // ---- C, C++, Java

  void directive() {
    in_directive_ = true;
    line_start_ = false;
    ++at_;
    while (is_blank(peek())) ++at_;
    const size_t begin = at_;
    while (is_word(peek())) ++at_;
    const std::string_view name = code_.substr(begin, at_ - begin);
    if (name == "include" || name == "import" || name == "include_next") {
      while (is_blank(peek())) ++at_;
      if (peek() == '<') at_ = std::min({code_.find('>', at_), code_.find('\n', at_), code_.size()});
    } else if (name == "error" || name == "warning" || name == "pragma") {
      // Prose, whose apostrophes open nothing.
      while (at_ < code_.size() && code_[at_] != '\n' && !here("//") && !here("/*")) ++at_;
    }
  }

  void c_or_java() {
    const char c = peek();
    const size_t begin = at_;
    if (kind_ == CodeKind::kJava && here("\"\"\"")) return void(text(begin, at_ + 3, "\"\"\"", true, true));
    if (c == '"') return void(text(begin, at_ + 1, "\"", true, false));
    if (c == '\'') return void(text(begin, at_ + 1, "'", true, false));
    if (std::isdigit(static_cast<unsigned char>(c)) || (c == '.' && std::isdigit(static_cast<unsigned char>(peek(1))))) {
      // 1'000'000: an apostrophe between digits
      while (is_word(peek()) || peek() == '.' || (c_family() && peek() == '\'' && is_word(peek(1)))) ++at_;
      return;
    }
    if (!is_word(c)) return code();
    while (is_word(peek())) ++at_;
    const std::string_view word = code_.substr(begin, at_ - begin);
    if (!c_family()) return;
    const bool raw = word == "R" || word == "LR" || word == "uR" || word == "UR" || word == "u8R";
    if (raw && peek() == '"') return raw_text(begin);
    if ((word == "L" || word == "u" || word == "U" || word == "u8") && (peek() == '"' || peek() == '\''))
      text(begin, at_ + 1, code_.substr(at_, 1), true, false);
  }
  // R"mark(...)mark"
  void raw_text(size_t begin) {
    const size_t open = code_.find('(', at_);
    if (open == code_.npos || open - at_ > 17) return void(ok_ = false);
    const std::string close = ")" + std::string(code_.substr(at_ + 1, open - at_ - 1)) + "\"";
    text(begin, open + 1, close, false, true);
  }

  // ---- Go, Rust

  void go() {
    if (peek() == '`') return void(text(at_, at_ + 1, "`", false, true));
    if (peek() == '"') return void(text(at_, at_ + 1, "\"", true, false));
    if (peek() == '\'') return void(text(at_, at_ + 1, "'", true, false));
    code();
  }

  void rust() {
    const size_t begin = at_;
    if (peek() == '"') return void(text(begin, at_ + 1, "\"", true, true));
    if (peek() == '\'') return quote();
    if (!is_word(peek())) return code();
    while (is_word(peek())) ++at_;
    const std::string_view word = code_.substr(begin, at_ - begin);
    if (word == "r" || word == "br" || word == "cr") {
      size_t marks = 0;
      while (peek(marks) == '#') ++marks;
      // r#name is a name.
      if (peek(marks) == '"') text(begin, at_ + marks + 1, "\"" + std::string(marks, '#'), false, true);
    } else if ((word == "b" || word == "c") && peek() == '"') {
      text(begin, at_ + 1, "\"", true, true);
    } else if (word == "b" && peek() == '\'') {
      text(begin, at_ + 1, "'", true, false);
    }
  }
  // 'a' or '\n' is a character; 'a alone a lifetime.
  void quote() {
    size_t n = 1;
    if (peek(1) == '\\') return void(text(at_, at_ + 1, "'", true, false));
    for (++n; (uint8_t(peek(n)) & 0xC0) == 0x80;) ++n;  // the rest of one UTF-8 character
    if (peek(n) == '\'') return add(Kind::kText, at_, at_ + n + 1);
    ++at_;
    while (is_word(peek())) ++at_;
  }

  // ---- JavaScript, TypeScript

  void javascript() {
    const char c = peek();
    if (c == '"' || c == '\'') return void(text(at_, at_ + 1, code_.substr(at_, 1), true, false));
    if (c == '`') return template_from(at_ + 1);
    if (c == '{' && !templates_.empty()) ++templates_.back();
    if (c == '}' && !templates_.empty() && templates_.back()-- == 0) {
      templates_.pop_back();
      return template_from(at_ + 1);
    }
    if (c == '<') {
      // Markup (JSX) and the comments of HTML: text in it would be taken for code.
      const bool behind_value = significant_ == ')' || significant_ == ']' || (significant_ == 'a' && !before_value());
      const bool tag = std::isalpha(static_cast<unsigned char>(peek(1))) && !behind_value;
      if (tag || here("</") || here("<!--") || here("<>")) return void(ok_ = false);
    }
    if (here("/>")) return void(ok_ = false);
    if (c == '/' && regex_may_follow()) return regex();
    code();
  }
  void template_from(size_t i) {
    const size_t begin = at_;
    for (; i < code_.size(); ++i) {
      if (code_[i] == '\\') {
        ++i;
      } else if (code_[i] == '`') {
        add(Kind::kText, begin, i + 1);
        significant_ = ')';
        word_ = {};
        return;
      } else if (code_.substr(i, 2) == "${") {
        if (templates_.size() >= kMaxNested) break;
        templates_.push_back(0);
        add(Kind::kText, begin, i + 2);
        significant_ = '{';
        word_ = {};
        return;
      }
    }
    ok_ = false;
  }
  // The last word is one that a value follows.
  bool before_value() const {
    for (const std::string_view word : {"return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do",
                                        "instanceof", "yield", "await", "default"})
      if (word_ == word) return true;
    return false;
  }
  // A / divides behind a value. Behind ) and } it may be either: then it is refused where it matters.
  bool regex_may_follow() {
    if (significant_ == 'a') return before_value();
    if (significant_ == ')' || significant_ == '}') {
      // Taken for a division if what follows on the line cannot be the rest of an expression in slashes.
      const std::string_view line = code_.substr(at_ + 1, std::min(code_.find('\n', at_), code_.size()) - at_ - 1);
      const size_t next = line.find_first_of("/'\"`");
      if (next != line.npos && line.substr(next, 2) != "//" && line.substr(next, 2) != "/*") ok_ = false;
      return false;
    }
    return significant_ != ']';
  }
  void regex() {
    bool in_class = false;
    for (size_t i = at_ + 1; i < code_.size() && code_[i] != '\n'; ++i) {
      if (code_[i] == '\\')
        ++i;
      else if (code_[i] == '[')
        in_class = true;
      else if (code_[i] == ']')
        in_class = false;
      else if (code_[i] == '/' && !in_class) {
        while (i + 1 < code_.size() && is_word(code_[i + 1])) ++i;
        add(Kind::kText, at_, i + 1);
        significant_ = ')';
        word_ = {};
        return;
      }
    }
    ok_ = false;
  }

  std::string_view code_;
  CodeKind kind_;
  size_t at_ = 0;
  std::vector<CodeSpan> spans_;
  bool ok_ = true, line_start_ = true, in_directive_ = false;
  char significant_ = '\0';  // the last sign of code; 'a': a word
  std::string_view word_;
  std::vector<int> templates_;  // open braces in each ${ }
};

}  // namespace

std::optional<CodeKind> code_kind(std::string_view name) {
  struct Named {
    CodeKind kind;
    std::string_view names;
  };
  static constexpr Named kNames[] = {{CodeKind::kPython, " python py "},
                                     {CodeKind::kC, " c h "},
                                     {CodeKind::kCpp, " c++ cpp cc cxx cuda "},
                                     {CodeKind::kJava, " java "},
                                     {CodeKind::kJavaScript, " javascript js "},
                                     {CodeKind::kTypeScript, " typescript ts "},
                                     {CodeKind::kGo, " go golang "},
                                     {CodeKind::kRust, " rust rs "}};
  const std::string key = " " + lower_ascii(name) + " ";
  if (name.empty() || name.find(' ') != name.npos) return std::nullopt;
  for (const Named& n : kNames)
    if (n.names.find(key) != n.names.npos) return n.kind;
  return std::nullopt;
}

std::optional<std::vector<CodeSpan>> code_spans(std::string_view code, CodeKind kind) {
  return Scanner(code, kind).run();
}

}  // namespace r1::corpus
