#include "r1/corpus/augment_code.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "r1/base/strings.h"

namespace r1::corpus {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || uint8_t(c) >= 0x80;
}
bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\f';
}
bool all_blank(std::string_view text) {
  return std::ranges::all_of(text, is_blank);
}
std::string_view part(std::string_view text, const CodeSpan& span) {
  return text.substr(span.begin, span.end - span.begin);
}

// ---- comments

// Those in front of all code, if they speak of a licence.
size_t licence_comments(std::string_view code, const std::vector<CodeSpan>& spans) {
  size_t n = 0, at = 0;
  bool speaks = false;
  for (; n < spans.size() && spans[n].kind != CodeSpan::Kind::kText; ++n) {
    if (code.substr(at, spans[n].begin - at).find_first_not_of(" \t\r\f\n") != code.npos) break;
    const std::string text = lower_ascii(part(code, spans[n]));
    for (const char* word : {"copyright", "licen", "spdx"}) speaks |= text.find(word) != text.npos;
    at = spans[n].end;
  }
  return speaks ? n : 0;
}

bool is_encoding_line(std::string_view code, const CodeSpan& span) {
  const size_t first = code.find('\n');
  if (first != code.npos && code.find('\n', first + 1) < span.begin) return false;
  const std::string_view text = part(code, span);
  return text.find("coding:") != text.npos || text.find("coding=") != text.npos;
}

bool is_for_tools(std::string_view code, const CodeSpan& span, CodeKind kind) {
  const std::string_view text = part(code, span);
  if (span.begin == 0 && text.starts_with("#!")) return true;
  switch (kind) {
    case CodeKind::kPython:
      return is_encoding_line(code, span);
    case CodeKind::kGo:
      return text.starts_with("//go:") || text.starts_with("// +build") || text.starts_with("//export ") || text.starts_with("//line ") ||
             text.starts_with("/*line ");
    case CodeKind::kJavaScript:
    case CodeKind::kTypeScript:
      for (const char* sign : {"@ts-", "<reference", "@jsx", "@flow", "<amd-"})
        if (text.find(sign) != text.npos) return true;
      return false;
    default:
      return false;
  }
}

// The text without some spans. False where a line would end in a backslash that did not.
class Remover {
 public:
  explicit Remover(std::string_view code) : code_(code) {}

  bool remove(const CodeSpan& span) {
    out_ += code_.substr(at_, span.begin - at_);
    at_ = span.end;
    const size_t line = out_.rfind('\n') + 1;  // npos + 1 is the beginning
    size_t after = at_;
    while (after < code_.size() && is_blank(code_[after])) ++after;
    const bool ends_line = after == code_.size() || code_[after] == '\n', begins_line = all_blank(std::string_view(out_).substr(line));
    const std::string_view comment = part(code_, span);
    const bool lines = comment.find('\n') != comment.npos;
    if (begins_line && ends_line && !continued(line)) {
      out_.resize(line);
      at_ = std::min(after + 1, code_.size());
      return true;
    }
    if (ends_line) {
      while (!out_.empty() && is_blank(out_.back())) out_.pop_back();
      at_ = after > at_ && code_[after - 1] == '\r' ? after - 1 : after;
      return out_.empty() || out_.back() != '\\';
    }
    if (lines && !span.directive && !begins_line)
      out_ += '\n';
    else if (!begins_line && !is_blank(out_.back()) && !is_blank(code_[at_]))
      out_ += ' ';
    if (is_blank(out_.empty() ? ' ' : out_.back()) || out_.back() == '\n') at_ = after;
    return true;
  }
  std::string finish() {
    out_ += code_.substr(at_);
    return std::move(out_);
  }

 private:
  // The line before goes on here.
  bool continued(size_t line) const {
    if (line == 0) return false;
    size_t end = line - 1;
    while (end > 0 && is_blank(out_[end - 1])) --end;
    return end > 0 && out_[end - 1] == '\\';
  }
  std::string_view code_;
  std::string out_;
  size_t at_ = 0;
};

// ---- Python in logical lines

struct Token {
  enum class Kind { kName, kText, kSign };
  Kind kind;
  size_t begin, end;
  int depth = 0;  // of brackets around it
  std::string_view text;
};

struct Line {
  size_t begin = 0, end = 0;  // of the physical lines, the last line's end with them
  int64_t indent = 0;
  std::vector<Token> tokens = {};
};

bool is_number_start(std::string_view code, size_t i) {
  return std::isdigit(static_cast<unsigned char>(code[i])) ||
         (code[i] == '.' && i + 1 < code.size() && std::isdigit(static_cast<unsigned char>(code[i + 1])));
}

class PythonLines {
 public:
  PythonLines(std::string_view code, const std::vector<CodeSpan>& spans) : code_(code) {
    size_t next = 0;
    begin_line(0);
    for (size_t i = 0; i < code.size();) {
      while (next < spans.size() && spans[next].end <= i) ++next;
      if (next < spans.size() && spans[next].begin == i) {
        if (spans[next].kind == CodeSpan::Kind::kText) add(Token::Kind::kText, i, spans[next].end);
        i = spans[next].end;
      } else if (code[i] == '\n') {
        ++i;
        if (depth_ == 0) end_line(i);
      } else if (code[i] == '\\' && i + 1 < code.size() && (code[i + 1] == '\n' || code.substr(i + 1, 2) == "\r\n")) {
        i += code[i + 1] == '\n' ? 2 : 3;
      } else if (is_blank(code[i])) {
        ++i;
      } else {
        i = code_token(i);
      }
    }
    end_line(code.size());
  }
  bool balanced() const { return balanced_ && depth_ == 0; }
  const std::vector<Line>& lines() const { return lines_; }

 private:
  void begin_line(size_t at) {
    line_ = {.begin = at};
    for (size_t i = at; i < code_.size() && is_blank(code_[i]); ++i)
      line_.indent += code_[i] == '\t' ? 8 - line_.indent % 8 : code_[i] == ' ';
  }
  void end_line(size_t end) {
    line_.end = end;
    if (!line_.tokens.empty()) lines_.push_back(std::move(line_));
    begin_line(end);
  }
  void add(Token::Kind kind, size_t begin, size_t end) {
    line_.tokens.push_back({kind, begin, end, depth_, code_.substr(begin, end - begin)});
  }
  size_t code_token(size_t i) {
    size_t end = i;
    if (is_number_start(code_, i)) {
      while (end < code_.size() && (is_word(code_[end]) || code_[end] == '.')) ++end;
      add(Token::Kind::kSign, i, end);
    } else if (is_word(code_[i])) {
      while (end < code_.size() && is_word(code_[end])) ++end;
      add(Token::Kind::kName, i, end);
    } else {
      static constexpr std::string_view kLong[] = {"**=", "//=", ">>=", "<<=", "...", "==", "!=", "<=", ">=", ":=", "->", "+=", "-=",
                                                   "*=",  "/=",  "%=",  "&=",  "|=",  "^=", "@=", "**", "//", "<<", ">>", "<>"};
      end = i + 1;
      for (const std::string_view sign : kLong)
        if (code_.substr(i).starts_with(sign)) {
          end = i + sign.size();
          break;
        }
      const char c = code_[i];
      if (c == ')' || c == ']' || c == '}') balanced_ &= --depth_ >= 0;
      add(Token::Kind::kSign, i, end);
      if (c == '(' || c == '[' || c == '{') ++depth_;
    }
    return end;
  }
  std::string_view code_;
  std::vector<Line> lines_;
  Line line_;
  int depth_ = 0;
  bool balanced_ = true;
};

bool opens_block(const Line& line, std::string_view word) {
  const size_t first = line.tokens[0].text == "async" && line.tokens.size() > 1 ? 1 : 0;
  return line.tokens[first].text == word;
}

bool is_docstring(const Line& line) {
  return std::ranges::all_of(line.tokens, [](const Token& t) {
    const std::string prefix = lower_ascii(t.text.substr(0, t.text.find_first_of("'\"")));
    return t.kind == Token::Kind::kText && prefix.find_first_of("bf") == prefix.npos;
  });
}

std::string without_docstrings(const std::string& code, int64_t& removed) {
  const auto spans = code_spans(code, CodeKind::kPython);
  if (!spans) return code;
  const PythonLines python(code, *spans);
  if (!python.balanced()) return code;
  std::string out;
  size_t at = 0;
  const auto& lines = python.lines();
  for (size_t i = 0; i < lines.size(); ++i) {
    const Line* header = i > 0 ? &lines[i - 1] : nullptr;
    const bool in_block = header && header->tokens.back().text == ":" && (opens_block(*header, "def") || opens_block(*header, "class"));
    if (!is_docstring(lines[i]) || (header && !in_block)) continue;
    out += std::string_view(code).substr(at, lines[i].begin - at);
    at = lines[i].end;
    if (in_block && (i + 1 == lines.size() || lines[i + 1].indent < lines[i].indent))
      out += code.substr(lines[i].begin, lines[i].tokens[0].begin - lines[i].begin) + "pass\n";
    ++removed;
  }
  return out + code.substr(at);
}

// ---- names

constexpr std::string_view kKeywords =
    " False None True and as assert async await break class continue def del elif else except finally for from global if import in is "
    "lambda nonlocal "
    "not or pass raise return try while with yield match case type print exec self cls mcs ";
constexpr std::string_view kBanned = " global nonlocal lambda eval exec locals vars globals dir class def __class__ ";
constexpr std::string_view kNew[] = {"value",  "item",   "result", "data",   "current", "entry", "element", "temp",
                                     "record", "output", "buffer", "target", "source",  "info",  "val",     "res",
                                     "elem",   "cur",    "tmp",    "acc",    "thing",   "part",  "piece",   "number",
                                     "amount", "given",  "found",  "chosen", "extra",   "rest",  "state",   "step"};

bool among(std::string_view word, std::string_view list) {
  return list.find(" " + std::string(word) + " ") != list.npos;
}
bool has_word(std::string_view text, std::string_view word) {
  for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]))) return true;
  }
  return false;
}
// A word that a variable of a function may be called, and that may be changed.
bool is_plain_name(std::string_view name) {
  return !name.empty() && !among(name, kKeywords) && !name.starts_with("__") && name != "_" &&
         std::ranges::all_of(name, [](char c) { return uint8_t(c) < 0x80; });
}
bool is_name(const Token& t) {
  return t.kind == Token::Kind::kName;
}
// name= in a call.
bool is_keyword(const std::vector<Token>& tokens, size_t i) {
  return tokens[i].depth > 0 && i > 0 && i + 1 < tokens.size() && (tokens[i - 1].text == "(" || tokens[i - 1].text == ",") &&
         tokens[i + 1].text == "=";
}
bool is_attribute(const std::vector<Token>& tokens, size_t i) {
  return i > 0 && tokens[i - 1].text == ".";
}

class Renamer {
 public:
  Renamer(std::string_view code, const std::vector<CodeSpan>& spans, const std::vector<Line>& lines, Rng& rng)
      : code_(code), spans_(spans), lines_(lines), rng_(rng) {
    for (size_t i = 0; i < code.size();) {
      const size_t begin = i;
      while (i < code.size() && is_word(code[i])) ++i;
      if (i > begin) words_.insert(std::string(code.substr(begin, i - begin)));
      i += i == begin;
    }
    for (const Line& line : lines)
      for (size_t i = 0; i < line.tokens.size(); ++i) {
        if (opens_block(line, "def") && line.tokens[i].depth > 0) continue;
        if (is_name(line.tokens[i]) && is_keyword(line.tokens, i)) by_keyword_.insert(line.tokens[i].text);
        any_spread_ |= i > 0 && line.tokens[i].text == "**" && (line.tokens[i - 1].text == "(" || line.tokens[i - 1].text == ",");
      }
  }

  std::optional<Renamed> run() {
    for (size_t i = 0; i < lines_.size(); ++i)
      if (opens_block(lines_[i], "def")) function(i);
    if (out_.names.empty()) return std::nullopt;
    std::ranges::sort(edits_, {}, [](const Edit& e) { return e.begin; });
    size_t at = 0;
    for (const Edit& e : edits_) {
      out_.code += code_.substr(at, e.begin - at);
      out_.code += e.text;
      at = e.end;
    }
    out_.code += code_.substr(at);
    return std::move(out_);
  }

 private:
  struct Edit {
    size_t begin, end;
    std::string text;
  };

  // The header's tokens: "(" of the parameters, its ")", and where the body begins.
  struct Header {
    size_t open = 0, close = 0, colon = 0;
  };
  static bool header_of(const Line& line, Header& h) {
    const auto& t = line.tokens;
    const size_t def = t[0].text == "async" ? 1 : 0;
    h.open = def + 2;
    if (h.open >= t.size() || t[h.open].text != "(") return false;
    for (h.close = h.open + 1; h.close < t.size() && !(t[h.close].text == ")" && t[h.close].depth == t[h.open].depth);) ++h.close;
    for (h.colon = h.close; h.colon < t.size() && !(t[h.colon].text == ":" && t[h.colon].depth == 0);) ++h.colon;
    return h.colon < t.size();
  }

  void function(size_t first) {
    const Line& line = lines_[first];
    Header h;
    if (!header_of(line, h)) return;
    size_t last = first;
    while (last + 1 < lines_.size() && lines_[last + 1].indent > line.indent && h.colon + 1 == line.tokens.size()) ++last;
    bodies_.clear();
    if (h.colon + 1 < line.tokens.size()) bodies_.emplace_back(line.tokens.begin() + ptrdiff_t(h.colon) + 1, line.tokens.end());
    for (size_t i = first + 1; i <= last; ++i) bodies_.push_back(lines_[i].tokens);
    std::set<std::string> not_these;
    for (const auto& tokens : bodies_) {
      const bool imports = tokens[0].text == "import" || tokens[0].text == "from";
      for (const Token& t : tokens) {
        if (is_name(t) && among(t.text, kBanned)) return;
        if (imports && (t.text == "*")) return;
        if (imports) not_these.insert(std::string(t.text));
      }
    }
    begin_ = line.begin;
    end_ = lines_[last].end;

    std::vector<std::string> names;
    const auto take = [&](std::string_view name) {
      const std::string n(name);
      if (is_plain_name(n) && !not_these.contains(n) && std::ranges::find(names, n) == names.end() && !is_told_of(n)) names.push_back(n);
    };
    const std::map<std::string, size_t> parameters = parameters_of(line, h);
    const bool may = parameters_may_change(first, h);
    for (const auto& [name, token] : parameters) {
      if (may && token > 0 && !by_keyword_.contains(std::string_view(name)))
        take(name);
      else
        not_these.insert(name);
    }
    for (size_t i = 0; i < line.tokens.size(); ++i)
      if (i <= h.colon && is_name(line.tokens[i]) && !parameters.contains(std::string(line.tokens[i].text)))
        not_these.insert(std::string(line.tokens[i].text));
    for (const auto& tokens : bodies_) bound_in(tokens, take);
    std::erase_if(names, [&](const std::string& n) { return not_these.contains(n); });
    std::set<std::string> taken;
    for (const std::string& name : names) {
      if (rng_.below(2) == 0) continue;
      const std::string other = new_name(name, taken);
      if (const auto p = parameters.find(name); p != parameters.end()) edit(line.tokens[p->second], other);
      for (const auto& tokens : bodies_)
        for (size_t i = 0; i < tokens.size(); ++i)
          if (is_name(tokens[i]) && tokens[i].text == name && !is_attribute(tokens, i) && !is_keyword(tokens, i)) edit(tokens[i], other);
      out_.names.emplace_back(name, other);
    }
  }

  // Names of the parameters and their places; 0 of one that must stay: *args and what follows, one with a type, one that stands in the header once more.
  static std::map<std::string, size_t> parameters_of(const Line& line, const Header& h) {
    std::map<std::string, size_t> out;
    const auto& t = line.tokens;
    bool starred = false;
    for (size_t i = h.open + 1; i < h.close; ++i) {
      starred |= t[i].text == "*" && t[i].depth == t[h.open].depth + 1 && (t[i - 1].text == "(" || t[i - 1].text == ",");
      if (!is_name(t[i]) || t[i].depth != t[h.open].depth + 1) continue;
      const bool begins = t[i - 1].text == "(" || t[i - 1].text == ",", star = t[i - 1].text == "*" || t[i - 1].text == "**";
      // By name alone go those behind *; what has a type is known by its name to whoever reads the types.
      const bool by_place = !starred && t[i + 1].text != ":";
      if (begins && t[i - 1].depth >= t[i].depth - 1) out[std::string(t[i].text)] = by_place ? i : 0;
      if (star) out[std::string(t[i].text)] = 0;
    }
    for (auto& [name, place] : out) {
      int times = 0;
      for (size_t i = 0; i <= h.colon; ++i) times += is_name(t[i]) && t[i].text == name;
      if (times != 1) place = 0;
    }
    return out;
  }

  bool parameters_may_change(size_t first, const Header& h) const {
    const std::string_view name = lines_[first].tokens[h.open - 1].text;
    const bool decorated = first > 0 && lines_[first - 1].tokens[0].text == "@" && lines_[first - 1].indent == lines_[first].indent;
    return !decorated && !any_spread_ && !name.starts_with("__") && !name.starts_with("test");
  }

  // x = .., x += .., x: T = .., x, y = .., for x, y in ..
  template <class Take>
  static void bound_in(const std::vector<Token>& t, Take take) {
    size_t i = t[0].text == "for" ? 1 : t[0].text == "async" && t.size() > 1 && t[1].text == "for" ? 2 : 0;
    const bool loop = i > 0;
    std::vector<std::string_view> names;
    for (; i + 1 < t.size() && is_name(t[i]); i += 2) {
      names.push_back(t[i].text);
      if (t[i + 1].text != ",") break;
    }
    if (i + 1 >= t.size()) return;
    const std::string_view next = t[i + 1].text;
    const bool assigns =
        next == "=" || (names.size() == 1 && (next == ":" || (next.size() >= 2 && next.ends_with('=') && next != "==" && next != "!=" &&
                                                              next != "<=" && next != ">=" && next != ":=")));
    if (loop ? next == "in" : assigns)
      for (const std::string_view name : names) take(name);
  }

  // Stands in a text or comment of the function.
  bool is_told_of(const std::string& name) const {
    for (auto s = std::ranges::lower_bound(spans_, begin_, {}, &CodeSpan::begin); s != spans_.end() && s->end <= end_; ++s)
      if (has_word(part(code_, *s), name)) return true;
    return false;
  }

  std::string new_name(const std::string& name, std::set<std::string>& taken) {
    const auto is_new = [&](const std::string& other) { return !words_.contains(other) && taken.insert(other).second; };
    const size_t from = size_t(rng_.below(std::size(kNew)));
    for (size_t i = 0; i < std::size(kNew); ++i) {
      const std::string other(kNew[(from + i) % std::size(kNew)]);
      if (is_new(other)) return other;
    }
    for (int n = 2;; ++n)
      if (const std::string other = name + "_" + std::to_string(n); is_new(other)) return other;
  }
  void edit(const Token& t, const std::string& text) { edits_.push_back({t.begin, t.end, text}); }

  std::string_view code_;
  const std::vector<CodeSpan>& spans_;
  const std::vector<Line>& lines_;
  Rng& rng_;
  std::set<std::string> words_;
  std::set<std::string_view> by_keyword_;
  bool any_spread_ = false;
  std::vector<std::vector<Token>> bodies_;
  size_t begin_ = 0, end_ = 0;
  std::vector<Edit> edits_;
  Renamed out_;
};

}  // namespace

std::optional<Stripped> strip_comments(std::string_view code, CodeKind kind, const StripOptions& options) {
  const auto spans = code_spans(code, kind);
  if (!spans || (kind == CodeKind::kGo && code.find("import \"C\"") != code.npos)) return std::nullopt;
  const size_t licence = options.licence ? licence_comments(code, *spans) : 0;
  Remover remover(code);
  Stripped out;
  for (size_t i = 0; i < spans->size(); ++i) {
    const CodeSpan& span = (*spans)[i];
    if (span.kind == CodeSpan::Kind::kText || i < licence || is_for_tools(code, span, kind)) continue;
    if (!remover.remove(span)) return std::nullopt;
    ++out.removed;
  }
  out.code = remover.finish();
  if (options.docstrings && kind == CodeKind::kPython) out.code = without_docstrings(out.code, out.removed);
  if (out.removed == 0) return std::nullopt;
  out.code.erase(0, std::min(out.code.find_first_not_of('\n'), out.code.size()));
  return out;
}

std::optional<Renamed> rename_python_variables(std::string_view code, Rng& rng) {
  const auto spans = code_spans(code, CodeKind::kPython);
  if (!spans) return std::nullopt;
  const PythonLines python(code, *spans);
  if (!python.balanced()) return std::nullopt;
  return Renamer(code, *spans, python.lines(), rng).run();
}

}  // namespace r1::corpus
