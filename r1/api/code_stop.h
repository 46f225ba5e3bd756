// Where a completion at a cursor ends, and what of it is shown. A model that fills in code goes on too long more often than not: it closes
// brackets that stand behind the cursor already, writes the next line once more, or starts another function. CodeStop reads the completion
// as it comes, in pieces of any size, and gives back what is certain to stay; the same text comes out however it is cut. It ends
//   - in front of a bracket, a block's end or a closing quote that the text behind the cursor has,
//   - where the rest of the cursor's line or the lines behind it begin to repeat,
//   - behind the block that was begun at the cursor or that the cursor is in (by indentation, braces or end words),
//   - with the line, where the cursor is in the middle of one,
//   - after six equal lines.
// Indentation that the cursor has already is taken off. Lines end with \n here, or \r\n if the place says so.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "r1/api/code_language.h"

namespace r1::api {

struct CodeFile {
  std::string path, text;
};

// Where code is wanted, as an editor knows it.
struct CodePlace {
  std::string prefix, suffix;  // the file's text before and behind the cursor
  std::string path, repository;
  const CodeLanguage* language = &plain_text();
  std::vector<CodeFile> files;  // others that matter, the most important first
  bool crlf = false;            // the file's lines end with \r\n; the texts here with \n (unix_lines)
};
// Takes the \r of every \r\n out of the texts, and notes whether the place's own lines have them.
void unix_lines(CodePlace& place);

class CodeStop {
 public:
  enum class Scope { kBlock, kLine, kNone };        // kNone: only the suffix and the six lines end it
  static Scope scope_named(std::string_view name);  // "block", "line", "none"
  CodeStop(const CodePlace& place, Scope scope);

  // The next piece of the completion: what can be shown now. Nothing once it has stopped.
  std::string push(std::string_view piece);
  // The model's own end: what was held back.
  std::string finish();
  bool stopped() const { return stopped_; }
  // Why: "block", "suffix", "line", "repeat"; "" if it has not.
  const char* reason() const { return reason_; }

 private:
  struct Line {
    std::string text, trimmed;
  };
  void begin(const CodePlace& place);
  void read_suffix(const CodePlace& place);
  void read(char c);
  void at_event(const CodeScanner::Event& event);
  void at_line_end(size_t newline);
  void at_line_start(char c);
  void ended_line_by_indent(char last_solid);
  void ended_line_by_depth(size_t newline, char last_solid);
  void decide(char c);
  bool match_line(size_t end);
  void stop(size_t at, const char* reason);
  void trim_end();
  void drop_rest();
  size_t safe() const;
  std::string release(size_t end);
  std::string_view line() const { return std::string_view(text_).substr(line_at_); }

  const CodeLanguage* language_;
  Scope scope_;
  bool crlf_;
  CodeScanner scanner_;
  size_t base_;  // the scanner's position at the cursor

  // The cursor's surroundings.
  std::string cursor_line_;  // before the cursor
  bool typed_ = false;       // it has more than blanks
  bool strip_blanks_ = false, in_middle_ = false, rest_blank_ = true, rest_is_line_ = false;
  int cursor_depth_ = 0, cursor_block_depth_ = 0, floor_ = 0;
  bool text_closes_ = false;     // the cursor is in a text that ends in the suffix
  std::string rest_;             // of the cursor's line, as far as it closes nothing of what is open
  size_t rest_blanks_ = 0;       // in front of it
  std::vector<Line> following_;  // lines of the suffix that are not blank
  bool all_following_ = false;   // that is all of them
  int header_indent_ = -1;       // of the line above that begins the block which the cursor is in

  std::string text_;
  size_t sent_ = 0, line_at_ = 0, solid_end_ = 0, text_end_ = 0;
  bool stopped_ = false, first_line_ = true, new_line_ = false, line_inside_ = false, was_in_text_;
  const char* reason_ = "";
  char last_solid_ = 0;

  // Blocks.
  bool statement_ = true;  // still the one that the cursor is in
  bool saw_block_ = false, unit_open_ = false, base_known_ = false;
  int base_indent_ = 0;
  bool pending_ = false;  // it ends at pending_at_ unless the word that begins now goes on with the block
  size_t pending_at_ = 0;
  std::string pending_word_;
  bool pending_begun_ = false;

  // Lines that repeat.
  size_t matched_ = 0, match_at_ = 0;
  std::string previous_line_;
  int equal_lines_ = 0;
};

}  // namespace r1::api
