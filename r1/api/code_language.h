// What code completion knows of a programming language: by which files it is recognised, how its comments, texts and blocks look, which
// lines import. Twelve languages; anything else is plain text, which has no blocks. CodeScanner reads code byte by byte and says where
// blocks and brackets open and close; it knows comments, texts (raw, triple-quoted, templates, here-documents) and regular expressions, so
// that a bracket in one counts for nothing. It is no parser: code that does not compile is what it mostly sees.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace r1::api {

struct CodeLanguage {
  enum class Blocks { kNone, kIndent, kBraces, kWords };
  std::string_view name;
  std::vector<std::string_view> aliases, extensions, file_names;  // lower case; extensions without the dot
  Blocks blocks = Blocks::kNone;
  std::string_view comment;               // begins a comment that goes to the line's end; "" if there is none
  std::vector<std::string_view> imports;  // how lines at the margin begin that bring in other files
  std::vector<std::string_view> goes_on;  // words at a line's beginning that belong to the block before them: else, catch
};

// python javascript typescript java c cpp csharp go rust ruby php bash
const std::vector<CodeLanguage>& code_languages();
const CodeLanguage& plain_text();
// By name or alias, any case; null if there is none such.
const CodeLanguage* find_code_language(std::string_view name);
// "python, javascript, .., text", for messages.
std::string code_language_names();
// By the path's extension or file name; plain_text() for what none of them claims.
const CodeLanguage& code_language_of(std::string_view path);

bool is_import(const CodeLanguage& language, std::string_view line);
// Columns of blanks in front, a tab up to the next eighth.
int indent_of(std::string_view line);
// Of a name: a letter, a digit, _, or a byte of a character beyond ASCII.
bool is_word(char c);

class CodeScanner {
 public:
  explicit CodeScanner(const CodeLanguage& language);

  struct Event {
    bool opens;
    bool block;  // a { of statements or a word that begins a block; else a bracket
    size_t at;   // its first byte, counted from the scanner's first
    int depth;   // levels that are open behind it; -1: it closed one although none was open
  };
  // What the byte, or the word that it ends, opened or closed. The reference holds until the next call.
  const std::vector<Event>& push(char c);
  // The text ends here: its last word is complete.
  const std::vector<Event>& finish();
  void read(std::string_view text) {
    for (char c : text) push(c);
  }

  size_t position() const { return at_; }
  int depth() const { return int(levels_.size()); }
  // The depth inside the innermost level that is a block; 0: none is open.
  int block_depth() const;
  bool in_text() const { return state_ == State::kString || state_ == State::kHereDocument || (state_ == State::kQuotes && quotes_ == 1); }
  // The bytes that end the text at hand.
  size_t text_end_size() const { return triple_ ? 3 : raw_end_.empty() ? 1 : raw_end_.size(); }
  bool in_line_comment() const { return state_ == State::kLineComment; }
  // The line after a newline here begins no statement: it is inside of a text, a comment, a bracket or after a backslash.
  bool line_goes_on() const;
  // Where the word begins that may still become one which closes a block; position() if there is none.
  size_t word_at() const { return word_.empty() || !words_ ? at_ : word_at_; }

 private:
  enum class State {
    kCode,
    kSlash,  // behind a / that may begin a comment or a regular expression
    kHash,   // behind PHP's #
    kLineComment,
    kBlockComment,
    kQuotes,  // behind one or two quotes where three begin a text too
    kString,
    kRawHead,    // between R" and the bracket
    kRustQuote,  // behind a ' that begins a character or a lifetime
    kRegex,
    kHereTag,
    kHereDocument
  };
  struct Level {
    char open;  // ( [ { or w for a word
    bool block;
    char resume = 0;  // the quote of the text that it is an expression in
  };
  void step(char c);
  void code(char c);
  void punctuation(char c);
  void quote(char c);
  void begin_text(char quote, bool multi_line, bool escapes);
  void end_text();
  void text(char c);
  void after_quotes(char c);
  void after_slash(char c);
  void block_comment(char c);
  void raw_head(char c);
  void rust_quote(char c);
  void regex(char c);
  void here_tag(char c);
  void here_document(char c);
  void newline();
  void end_word(char next);
  void ruby_word(const std::string& word, char next);
  void bash_word(const std::string& word);
  void open(char bracket, bool block, size_t at);
  void close(char bracket, size_t at);
  bool begins_block() const;
  bool regex_may_begin() const;
  bool here_document_may_begin(char c) const;
  bool solid_in(const char* set) const;

  enum class Kind { kPlain, kPython, kScript, kJava, kC, kCpp, kCSharp, kGo, kRust, kRuby, kPhp, kBash } kind_;
  bool words_;  // blocks end with a word
  State state_ = State::kCode;
  size_t at_ = 0, line_at_ = 0;
  std::vector<Level> levels_;
  std::vector<Event> events_;
  bool backslash_ = false;  // the line before ended with one

  // The byte before, the last that is no blank (a newline is none), and that before the word at hand.
  char last_ = '\n', solid_ = '\n', solid_before_word_ = '\n', before_word_ = '\n';
  std::string word_, last_word_;
  size_t word_at_ = 0;
  int angles_ = 0, hashes_ = 0;

  char quote_ = 0;
  bool multi_line_ = false, escapes_ = true, escaped_ = false, triple_ = false, verbatim_ = false, in_class_ = false;
  int quotes_ = 0, comments_ = 0;
  std::string raw_end_, tail_;  // how a raw text ends, and the last bytes of what is read
  std::string here_tag_;
  char here_quote_ = 0;
  bool here_pending_ = false, here_indented_ = false;
  bool loop_ = false, def_ = false, def_named_ = false;  // ruby: a loop's head, whose do opens nothing; a method's head
};

}  // namespace r1::api
