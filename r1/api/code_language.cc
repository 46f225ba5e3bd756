#include "r1/api/code_language.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "r1/base/strings.h"

namespace r1::api {
namespace {

using Blocks = CodeLanguage::Blocks;

template <class List>
bool among(std::string_view word, const List& list) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

std::vector<CodeLanguage> make_languages() {
  const std::vector<std::string_view> script_imports = {"import ",  "import{", "import\t",       "export * from",
                                                        "export {", "const {", "\"use strict\"", "'use strict'"};
  const std::vector<std::string_view> braces = {"else", "catch", "finally"};
  return {
      {"python",
       {"py", "python3"},
       {"py", "pyi", "pyw"},
       {},
       Blocks::kIndent,
       "#",
       {"import ", "from ", "#!"},
       {"else", "elif", "except", "finally"}},
      {"javascript", {"js", "jsx", "node"}, {"js", "jsx", "mjs", "cjs"}, {}, Blocks::kBraces, "//", script_imports, braces},
      {"typescript", {"ts", "tsx"}, {"ts", "tsx", "mts", "cts"}, {}, Blocks::kBraces, "//", script_imports, braces},
      {"java", {}, {"java"}, {}, Blocks::kBraces, "//", {"import ", "package "}, braces},
      {"c", {}, {"c", "h"}, {}, Blocks::kBraces, "//", {"#include", "# include", "#pragma once"}, {"else"}},
      {"cpp",
       {"c++", "cc", "cxx"},
       {"cc", "cpp", "cxx", "c++", "hpp", "hh", "hxx", "h++", "ipp", "cu", "cuh"},
       {},
       Blocks::kBraces,
       "//",
       {"#include", "# include", "#pragma once", "using ", "import "},
       {"else", "catch"}},
      {"csharp", {"c#", "cs"}, {"cs", "csx"}, {}, Blocks::kBraces, "//", {"using ", "namespace ", "global using "}, braces},
      {"go", {"golang"}, {"go"}, {}, Blocks::kBraces, "//", {"import ", "import(", "package "}, {}},
      {"rust", {"rs"}, {"rs"}, {}, Blocks::kBraces, "//", {"use ", "mod ", "extern crate ", "#!["}, {"else"}},
      {"ruby",
       {"rb"},
       {"rb", "rake", "gemspec", "ru"},
       {"rakefile", "gemfile"},
       Blocks::kWords,
       "#",
       {"require ", "require_relative ", "#!", "# frozen_string_literal"},
       {"else", "elsif", "rescue", "ensure", "when"}},
      {"php",
       {},
       {"php", "phtml"},
       {},
       Blocks::kBraces,
       "//",
       {"<?php", "use ", "namespace ", "require ", "require_once ", "include ", "include_once ", "declare("},
       {"else", "elseif", "catch", "finally"}},
      {"bash",
       {"sh", "shell", "zsh", "ksh"},
       {"sh", "bash", "zsh", "ksh"},
       {".bashrc", ".profile", ".bash_profile"},
       Blocks::kWords,
       "#",
       {"#!", "source ", ". ", "set -", "shopt "},
       {"else", "elif"}},
  };
}

}  // namespace

const std::vector<CodeLanguage>& code_languages() {
  static const std::vector<CodeLanguage> all = make_languages();
  return all;
}

const CodeLanguage& plain_text() {
  static const CodeLanguage plain{
      .name = "text", .aliases = {}, .extensions = {}, .file_names = {}, .comment = "", .imports = {}, .goes_on = {}};
  return plain;
}

const CodeLanguage* find_code_language(std::string_view name) {
  const std::string wanted = lower_ascii(name);
  for (const CodeLanguage& language : code_languages())
    if (language.name == wanted || among(wanted, language.aliases)) return &language;
  return wanted == "text" || wanted == "plaintext" ? &plain_text() : nullptr;
}

std::string code_language_names() {
  std::string names;
  for (const CodeLanguage& language : code_languages()) names += std::string(language.name) + ", ";
  return names + std::string(plain_text().name);
}

const CodeLanguage& code_language_of(std::string_view path) {
  const size_t slash = path.find_last_of("/\\");
  const std::string file = lower_ascii(slash == std::string_view::npos ? path : path.substr(slash + 1));
  const size_t dot = file.rfind('.');
  const std::string extension = dot == std::string::npos ? "" : file.substr(dot + 1);
  for (const CodeLanguage& language : code_languages())
    if (among(file, language.file_names) || (!extension.empty() && among(extension, language.extensions))) return language;
  return plain_text();
}

bool is_word(char c) {
  return std::isalnum(uint8_t(c)) || c == '_' || uint8_t(c) >= 0x80;
}

int indent_of(std::string_view line) {
  int columns = 0;
  for (char c : line) {
    if (c == '\t')
      columns += 8 - columns % 8;
    else if (c == ' ')
      ++columns;
    else
      break;
  }
  return columns;
}

bool is_import(const CodeLanguage& language, std::string_view line) {
  const auto begins = [&](std::string_view start) { return line.starts_with(start); };
  if (!std::ranges::any_of(language.imports, begins))
    return (language.name == "javascript" || language.name == "typescript") && !line.empty() && !std::isspace(uint8_t(line[0])) &&
           line.find("= require(") != std::string_view::npos;
  // `const {` and `export {` bring something in only where they say where from.
  if (line.starts_with("const {") || line.starts_with("export {"))
    return line.find("require(") != std::string_view::npos || line.find(" from ") != std::string_view::npos;
  return true;
}

// ---- CodeScanner ----

CodeScanner::CodeScanner(const CodeLanguage& language) : words_(language.blocks == Blocks::kWords) {
  constexpr std::array<std::pair<std::string_view, Kind>, 12> kinds = {{{"python", Kind::kPython},
                                                                        {"javascript", Kind::kScript},
                                                                        {"typescript", Kind::kScript},
                                                                        {"java", Kind::kJava},
                                                                        {"c", Kind::kC},
                                                                        {"cpp", Kind::kCpp},
                                                                        {"csharp", Kind::kCSharp},
                                                                        {"go", Kind::kGo},
                                                                        {"rust", Kind::kRust},
                                                                        {"ruby", Kind::kRuby},
                                                                        {"php", Kind::kPhp},
                                                                        {"bash", Kind::kBash}}};
  kind_ = Kind::kPlain;
  for (const auto& [name, kind] : kinds)
    if (name == language.name) kind_ = kind;
}

const std::vector<CodeScanner::Event>& CodeScanner::push(char c) {
  events_.clear();
  step(c);
  ++at_;
  return events_;
}

const std::vector<CodeScanner::Event>& CodeScanner::finish() {
  events_.clear();
  if (state_ == State::kCode && !word_.empty()) end_word('\n');
  return events_;
}

int CodeScanner::block_depth() const {
  for (size_t i = levels_.size(); i > 0; --i)
    if (levels_[i - 1].block) return int(i);
  return 0;
}

bool CodeScanner::line_goes_on() const {
  if (state_ == State::kString || state_ == State::kHereDocument || state_ == State::kBlockComment || backslash_) return true;
  return !levels_.empty() && !levels_.back().block;
}

void CodeScanner::step(char c) {
  if (kind_ == Kind::kPlain) return;
  switch (state_) {
    case State::kCode:
      return code(c);
    case State::kSlash:
      return after_slash(c);
    case State::kHash:
      state_ = c == '[' ? State::kCode : State::kLineComment;  // PHP's attributes
      return step(c);
    case State::kLineComment:
      if (c == '\n') newline();
      return;
    case State::kBlockComment:
      return block_comment(c);
    case State::kQuotes:
      return after_quotes(c);
    case State::kString:
      return text(c);
    case State::kRawHead:
      return raw_head(c);
    case State::kRustQuote:
      return rust_quote(c);
    case State::kRegex:
      return regex(c);
    case State::kHereTag:
      return here_tag(c);
    case State::kHereDocument:
      return here_document(c);
  }
}

void CodeScanner::code(char c) {
  if (angles_ > 0 && here_document_may_begin(c)) {
    if (!word_.empty()) end_word(c);
    angles_ = 0;
    state_ = State::kHereTag;
    here_tag_.clear();
    here_quote_ = 0;
    here_indented_ = kind_ == Kind::kPhp;
    return here_tag(c);
  }
  if (c != '<') angles_ = 0;
  if (is_word(c)) {
    if (word_.empty()) {
      word_at_ = at_;
      before_word_ = last_;
      solid_before_word_ = solid_;
    }
    if (word_.size() < 32) word_ += c;
    last_ = solid_ = c;
    return;
  }
  if (!word_.empty()) end_word(c);
  if (state_ != State::kCode) return step(c);  // the word was =begin
  punctuation(c);
}

void CodeScanner::punctuation(char c) {
  if (c == '\n') return newline();
  const char before = last_;
  last_ = c;
  if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') return;
  switch (c) {
    case '#':
      if (kind_ == Kind::kPython || kind_ == Kind::kRuby ||
          (kind_ == Kind::kBash && std::string_view(" \t\n;|&()`").find(before) != std::string_view::npos))
        state_ = State::kLineComment;
      else if (kind_ == Kind::kPhp)
        state_ = State::kHash;
      else if (kind_ == Kind::kRust)
        hashes_ = before == '#' ? hashes_ + 1 : is_word(before) ? 1 : 0;
      break;
    case '/':
      if (kind_ == Kind::kRuby && regex_may_begin()) {
        state_ = State::kRegex;
        escaped_ = in_class_ = false;
      } else if (kind_ != Kind::kPython && kind_ != Kind::kRuby && kind_ != Kind::kBash) {
        state_ = State::kSlash;
        return;  // `solid_` still says what stood before it
      }
      break;
    case '"':
    case '\'':
    case '`':
      last_ = before;
      quote(c);
      last_ = c;
      return;
    case '<':
      angles_ = before == '<' ? angles_ + 1 : 1;
      break;
    case '(':
    case '[':
      open(c, false, at_);
      break;
    case '{':
      open(c, begins_block(), at_);
      break;
    case ')':
    case ']':
    case '}':
      close(c, at_);
      return;
    case '=':
      // def name(..) = expression has no end.
      if (kind_ == Kind::kRuby && def_ && def_named_ && (before == ' ' || before == ')') && !levels_.empty() &&
          levels_.back().open == 'w') {
        levels_.pop_back();
        events_.push_back({false, true, at_, depth()});
        def_ = false;
      }
      break;
    default:
      break;
  }
  solid_ = c;
}

bool CodeScanner::solid_in(const char* set) const {
  return std::string_view(set).find(solid_) != std::string_view::npos;
}

// Is a { here the beginning of statements? Else it is an object, a list of values, an expansion.
bool CodeScanner::begins_block() const {
  if (kind_ == Kind::kPython || kind_ == Kind::kRuby) return false;
  if (kind_ == Kind::kBash) return last_ == '{' && solid_in(")\n;&|{");
  if (solid_in("=(,[:?&|!+")) return false;
  return !(is_word(solid_) && last_word_ == "return");
}

bool CodeScanner::regex_may_begin() const {
  constexpr std::array before = {"return", "typeof", "case", "in", "of",  "if",    "unless",
                                 "elsif",  "when",   "and",  "or", "not", "while", "until"};
  if (is_word(solid_)) return among(last_word_, before);
  return solid_in("(,=:[!&|?{};+-*%<>~^\n");
}

void CodeScanner::quote(char c) {
  using K = Kind;
  const bool after_word = is_word(last_);
  if (c == '`') {
    if (kind_ == K::kScript) begin_text(c, true, true);
    if (kind_ == K::kGo) begin_text(c, true, false);
    if (kind_ == K::kRuby || kind_ == K::kPhp || kind_ == K::kBash) begin_text(c, true, true);
    return;
  }
  if (c == '\'' && kind_ == K::kRust) {
    state_ = State::kRustQuote;
    tail_.clear();
    return;
  }
  if (c == '\'' && (kind_ == K::kC || kind_ == K::kCpp) && after_word && std::isdigit(uint8_t(last_word_[0]))) return;  // 1'000
  if (kind_ == K::kPython || (c == '"' && (kind_ == K::kJava || kind_ == K::kCSharp))) {
    const bool verbatim = kind_ == K::kCSharp && (last_ == '@' || (last_ == '"' && verbatim_));  // "" in a verbatim text is a quote
    begin_text(c, verbatim, !verbatim);
    verbatim_ = verbatim;
    if (!verbatim) {
      state_ = State::kQuotes;
      quotes_ = 1;
    }
    return;
  }
  if (c == '"' && kind_ == K::kCpp && after_word && last_word_.ends_with('R')) {
    state_ = State::kRawHead;
    raw_end_ = ")";
    return;
  }
  if (c == '"' && kind_ == K::kRust && (after_word || (last_ == '#' && hashes_ > 0)) && among(last_word_, std::array{"r", "br", "cr"})) {
    begin_text(c, true, false);
    raw_end_ = "\"" + std::string(last_ == '#' ? size_t(hashes_) : 0, '#');
    return;
  }
  const bool lines = kind_ == K::kRust || kind_ == K::kRuby || kind_ == K::kPhp || kind_ == K::kBash;
  begin_text(c, lines, !(kind_ == K::kBash && c == '\'' && last_ != '$'));
}

void CodeScanner::begin_text(char quote, bool multi_line, bool escapes) {
  state_ = State::kString;
  quote_ = quote;
  multi_line_ = multi_line;
  escapes_ = escapes;
  escaped_ = triple_ = verbatim_ = false;
  quotes_ = 0;
  raw_end_.clear();
  tail_.clear();
}

void CodeScanner::end_text() {
  state_ = State::kCode;
  raw_end_.clear();
  last_ = solid_ = quote_;
}

void CodeScanner::after_quotes(char c) {
  if (c == quote_) {
    if (++quotes_ < 3) return;
    state_ = State::kString;
    triple_ = multi_line_ = true;
    quotes_ = 0;
    return;
  }
  const bool empty = quotes_ == 2;
  quotes_ = 0;
  if (empty) {
    end_text();
    return code(c);
  }
  state_ = State::kString;
  text(c);
}

void CodeScanner::text(char c) {
  const char before = last_;
  last_ = c;
  if (!raw_end_.empty()) {
    tail_ += c;
    if (tail_.size() > raw_end_.size()) tail_.erase(0, tail_.size() - raw_end_.size());
    if (tail_ == raw_end_) end_text();
    return;
  }
  if (escaped_) {
    escaped_ = false;
    last_ = 0;
    return;
  }
  if (c == '\\' && escapes_) {
    escaped_ = true;
    quotes_ = 0;
    return;
  }
  if (triple_) {
    quotes_ = c == quote_ ? quotes_ + 1 : 0;
    if (quotes_ == 3) end_text();
    return;
  }
  if (c == quote_) {
    const bool verbatim = verbatim_;
    end_text();
    verbatim_ = verbatim;
    return;
  }
  if (c == '{' &&
      ((quote_ == '`' && kind_ == Kind::kScript && before == '$') || (quote_ != '\'' && kind_ == Kind::kRuby && before == '#'))) {
    state_ = State::kCode;
    levels_.push_back({'{', false, quote_});
    events_.push_back({true, false, at_, depth()});
    solid_ = '{';
    return;
  }
  if (c == '\n' && !multi_line_) {
    state_ = State::kCode;
    newline();
  }
}

void CodeScanner::after_slash(char c) {
  state_ = State::kCode;
  if (c == '/') {
    state_ = State::kLineComment;
  } else if (c == '*') {
    state_ = State::kBlockComment;
    comments_ = 1;
    last_ = 0;
  } else if (kind_ == Kind::kScript && regex_may_begin()) {
    state_ = State::kRegex;
    escaped_ = in_class_ = false;
    regex(c);
  } else {
    solid_ = '/';
    code(c);
  }
}

void CodeScanner::block_comment(char c) {
  if (kind_ == Kind::kRuby) {  // to a line that begins with =end
    if (c == '\n') {
      if (tail_.starts_with("=end")) state_ = State::kCode;
      tail_.clear();
      if (state_ == State::kCode) newline();
    } else if (tail_.size() < 8) {
      tail_ += c;
    }
    return;
  }
  if (last_ == '*' && c == '/') {
    last_ = 0;
    if (--comments_ == 0) {
      state_ = State::kCode;
      last_ = ' ';
    }
    return;
  }
  if (kind_ == Kind::kRust && last_ == '/' && c == '*') {
    ++comments_;
    last_ = 0;
    return;
  }
  last_ = c;
}

void CodeScanner::raw_head(char c) {
  if (c == '(') {
    const std::string end = raw_end_ + "\"";
    begin_text('"', true, false);
    raw_end_ = end;
  } else if (raw_end_.size() > 16 || c == '"' || c == '\n' || c == ' ' || c == ')' || c == '\\') {
    begin_text('"', false, true);  // no raw text after all
    text(c);
  } else {
    raw_end_ += c;
  }
}

void CodeScanner::rust_quote(char c) {
  if (tail_.empty()) {
    if (c == '\\') {
      begin_text('\'', false, true);
      escaped_ = true;
    } else if (c == '\n' || c == '\'') {
      state_ = State::kCode;
      code(c == '\n' ? c : ' ');
    } else {
      tail_ = c;
    }
    return;
  }
  if ((uint8_t(c) & 0xc0) == 0x80 && tail_.size() < 4) {
    tail_ += c;
    return;
  }
  state_ = State::kCode;
  if (c == '\'') {
    last_ = solid_ = '\'';
    return;
  }
  // A lifetime: what was held back is code.
  const std::string held = std::exchange(tail_, {});
  at_ -= held.size();
  last_ = solid_ = '\'';
  for (char h : held) {
    if (state_ == State::kCode && (is_word(h) || h == ' ' || h == '\t')) code(h);
    ++at_;
  }
  code(c);
}

void CodeScanner::regex(char c) {
  if (c == '\n') {
    state_ = State::kCode;
    return newline();
  }
  if (escaped_) {
    escaped_ = false;
  } else if (c == '\\') {
    escaped_ = true;
  } else if (c == '[') {
    in_class_ = true;
  } else if (c == ']') {
    in_class_ = false;
  } else if (c == '/' && !in_class_) {
    state_ = State::kCode;
    last_ = solid_ = '"';  // as behind a text: a / is a division
  }
}

bool CodeScanner::here_document_may_begin(char c) const {
  const bool starts = std::isalpha(uint8_t(c)) || c == '_' || c == '"' || c == '\'';
  switch (kind_) {
    case Kind::kPhp:
      return angles_ == 3 && starts;
    case Kind::kBash:
      if (levels_.size() >= 2 && levels_.back().open == '(' && levels_[levels_.size() - 2].open == '(') return false;  // a shift
      return angles_ == 2 && (starts || c == '-' || c == '\\' || c == ' ');
    case Kind::kRuby:
      return angles_ == 2 && (c == '~' || c == '-' || c == '"' || c == '\'' || (c >= 'A' && c <= 'Z'));
    default:
      return false;
  }
}

void CodeScanner::here_tag(char c) {
  if (here_quote_) {
    if (c != here_quote_ && c != '\n' && here_tag_.size() < 128) {
      here_tag_ += c;
      return;
    }
    here_quote_ = 0;
    state_ = State::kCode;
    here_pending_ = !here_tag_.empty();
    if (c == '\n') newline();
    last_ = solid_ = '"';
    return;
  }
  if (here_tag_.empty()) {
    if (c == '-' || c == '~') {
      here_indented_ = true;
      return;
    }
    if (c == '\\' || (c == ' ' && kind_ != Kind::kRuby)) return;
    if (c == '"' || c == '\'') {
      here_quote_ = c;
      return;
    }
  }
  if (is_word(c) && here_tag_.size() < 128 && !(here_tag_.empty() && std::isdigit(uint8_t(c)))) {
    here_tag_ += c;
    return;
  }
  state_ = State::kCode;
  here_pending_ = !here_tag_.empty();
  last_ = solid_ = 'x';
  code(c);
}

void CodeScanner::here_document(char c) {
  if (c != '\n') {
    if (tail_.size() < 256) tail_ += c;
    return;
  }
  std::string_view line = tail_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (here_indented_) line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  const bool ends = kind_ == Kind::kPhp
                        ? line.starts_with(here_tag_) && (line.size() == here_tag_.size() || !is_word(line[here_tag_.size()]))
                        : line == here_tag_;
  tail_.clear();
  if (!ends) return;
  state_ = State::kCode;
  newline();
}

void CodeScanner::newline() {
  if (!word_.empty()) end_word('\n');
  if (state_ == State::kLineComment || state_ == State::kRegex) state_ = State::kCode;
  backslash_ = last_ == '\\';
  last_ = solid_ = '\n';
  line_at_ = at_ + 1;
  loop_ = def_ = def_named_ = false;
  angles_ = 0;
  if (here_pending_) {
    here_pending_ = false;
    state_ = State::kHereDocument;
    tail_.clear();
  }
}

void CodeScanner::end_word(char next) {
  const std::string word = std::exchange(word_, {});
  if (kind_ == Kind::kRuby) ruby_word(word, next);
  if (kind_ == Kind::kBash) bash_word(word);
  last_word_ = word;
}

void CodeScanner::ruby_word(const std::string& word, char next) {
  if (before_word_ == '=' && word == "begin" && word_at_ == line_at_ + 1) {
    state_ = State::kBlockComment;
    tail_.clear();
    return;
  }
  if (def_) def_named_ = true;
  if (std::string_view(".@$").find(before_word_) != std::string_view::npos || next == ':' || next == '?' || next == '!') return;
  if (before_word_ == ':' && solid_before_word_ == ':') return;  // a symbol
  constexpr std::array anywhere = {"class", "module", "def"};
  constexpr std::array at_start = {"if", "unless", "while", "until", "case", "for", "begin"};
  constexpr std::array before = {"then", "else", "do", "begin", "ensure", "not", "and", "or"};
  const bool starts = is_word(solid_before_word_) ? among(last_word_, before)
                                                  : std::string_view("\n;({|=,[&!<>").find(solid_before_word_) != std::string_view::npos;
  if (among(word, anywhere) || (starts && among(word, at_start))) {
    open('w', true, word_at_);
    loop_ = word == "while" || word == "until" || word == "for";
    def_ = word == "def";
    def_named_ = false;
  } else if (word == "do") {
    if (!loop_) open('w', true, word_at_);
    loop_ = false;
  } else if (word == "end") {
    close('w', word_at_);
  }
}

void CodeScanner::bash_word(const std::string& word) {
  constexpr std::array before = {"then", "else", "elif", "do", "if", "while", "until"};
  const bool starts = is_word(solid_before_word_) ? among(last_word_, before) && before_word_ != '-'
                                                  : std::string_view("\n;&|(){!`").find(solid_before_word_) != std::string_view::npos;
  if (!starts || before_word_ == '$' || before_word_ == '{') return;
  if (word == "if" || word == "case" || word == "do") open('w', true, word_at_);
  if (word == "fi" || word == "esac" || word == "done") close('w', word_at_);
}

void CodeScanner::open(char bracket, bool block, size_t at) {
  // More than this is no program; the depth then stays.
  if (levels_.size() >= 100000) return;
  levels_.push_back({bracket, block, 0});
  events_.push_back({true, block, at, depth()});
}

void CodeScanner::close(char bracket, size_t at) {
  const char wanted = bracket == ')' ? '(' : bracket == ']' ? '[' : bracket == '}' ? '{' : bracket;
  solid_ = bracket == 'w' ? solid_ : bracket;
  // A case's pattern: a) ..
  if (kind_ == Kind::kBash && bracket == ')' && (levels_.empty() || levels_.back().open != '(')) return;
  if (levels_.empty()) {
    events_.push_back({false, bracket == '}' || bracket == 'w', at, -1});
    return;
  }
  // What was left open inside ends with it; what was never opened is a stray. (A look at a few levels: broken code must not cost more.)
  size_t i = levels_.size();
  const size_t lowest = i > 64 ? i - 64 : 0;
  while (i > lowest && levels_[i - 1].open != wanted) --i;
  if (i == lowest) return;
  const Level closed = levels_[i - 1];
  levels_.resize(i - 1);
  events_.push_back({false, closed.block, at, depth()});
  if (closed.resume) {
    begin_text(closed.resume, true, true);
    last_ = 0;
  }
}

}  // namespace r1::api
