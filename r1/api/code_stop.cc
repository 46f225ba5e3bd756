#include "r1/api/code_stop.h"

#include <algorithm>

#include "r1/base/strings.h"

namespace r1::api {
namespace {

constexpr size_t kFollowingLines = 8, kLongestRest = 256;
constexpr int kEqualLines = 6;

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}
int64_t word_bytes(std::string_view text) {
  return std::ranges::count_if(text, is_word);
}

std::string without_returns(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] != '\r' || i + 1 == text.size() || text[i + 1] != '\n') out += text[i];
  return out;
}

bool only_closes(std::string_view words) {
  return word_bytes(words) == 0 || words == "end" || words == "fi" || words == "done" || words == "esac";
}

// The last line of the text that is not blank.
std::string_view line_above(std::string_view text) {
  while (!text.empty()) {
    const size_t newline = text.rfind('\n');
    const std::string_view line = newline == std::string_view::npos ? text : text.substr(newline + 1);
    if (!trim(line).empty()) return line;
    if (newline == std::string_view::npos) return {};
    text = text.substr(0, newline);
  }
  return {};
}

}  // namespace

void unix_lines(CodePlace& place) {
  // A cursor between \r and \n stands before both.
  if (place.prefix.ends_with('\r') && place.suffix.starts_with('\n')) {
    place.prefix.pop_back();
    place.crlf = true;
  }
  const size_t newline = place.prefix.find('\n');
  const std::string& first = newline == std::string::npos ? place.suffix : place.prefix;
  const size_t at = first.find('\n');
  if (at != std::string::npos && at > 0 && first[at - 1] == '\r') place.crlf = true;
  place.prefix = without_returns(place.prefix);
  place.suffix = without_returns(place.suffix);
  for (CodeFile& file : place.files) file.text = without_returns(file.text);
}

CodeStop::Scope CodeStop::scope_named(std::string_view name) {
  return name == "line" ? Scope::kLine : name == "none" ? Scope::kNone : Scope::kBlock;
}

CodeStop::CodeStop(const CodePlace& place, Scope scope)
    : language_(place.language), scope_(scope), crlf_(place.crlf), scanner_(*place.language), base_(0) {
  begin(place);
  read_suffix(place);
  was_in_text_ = scanner_.in_text();
}

void CodeStop::begin(const CodePlace& place) {
  const std::string_view prefix = place.prefix;
  scanner_.read(prefix);
  base_ = scanner_.position();
  cursor_depth_ = scanner_.depth();
  cursor_block_depth_ = scanner_.block_depth();
  const size_t newline = prefix.rfind('\n');
  cursor_line_ = newline == std::string_view::npos ? prefix : prefix.substr(newline + 1);
  typed_ = !trim(cursor_line_).empty();
  if (typed_ || scanner_.line_goes_on()) return;
  const std::string_view above = newline == std::string_view::npos ? "" : line_above(prefix.substr(0, newline));
  const std::string_view words = trim(above);
  if (words.empty()) return;
  if (words.ends_with(':')) header_indent_ = indent_of(above);
  // An editor has indented the line: more of it would be wrong unless the line above begins something.
  const bool opens = std::string_view(":({[,\\").find(words.back()) != std::string_view::npos;
  const bool blocks = language_->blocks == CodeLanguage::Blocks::kIndent || language_->blocks == CodeLanguage::Blocks::kBraces;
  strip_blanks_ = blocks && !opens && !cursor_line_.empty() && indent_of(cursor_line_) >= indent_of(above);
}

void CodeStop::read_suffix(const CodePlace& place) {
  const std::string_view suffix = place.suffix;
  const size_t line_end = std::min(suffix.find('\n'), suffix.size());
  const std::string_view rest = suffix.substr(0, line_end);
  rest_blank_ = trim(rest).empty();
  rest_is_line_ = !rest_blank_ && !typed_;

  // Which of the open levels it closes, each with its own bracket; a bracket that is only left behind by another's end does not count.
  CodeScanner scanner = scanner_;
  std::vector<bool> closed(size_t(cursor_depth_), false);
  int low = cursor_depth_;
  size_t rest_end = line_end;
  const bool in_text = scanner_.in_text();
  bool left_text = false;
  const auto take = [&](const std::vector<CodeScanner::Event>& events) {
    for (const CodeScanner::Event& e : events)
      if (!e.opens && e.depth < low) {
        rest_end = std::min(rest_end, e.at > base_ ? e.at - base_ : 0);
        if (e.depth >= 0) closed[size_t(e.depth)] = true;
        low = std::max(e.depth, 0);
      }
  };
  for (size_t i = 0; i < suffix.size(); ++i) {
    if (in_text && !left_text && (i == line_end || !scanner.in_text())) {
      // Further down a quote may as well begin the next text.
      left_text = true;
      text_closes_ = !scanner.in_text();
      if (!text_closes_ && scanner.text_end_size() == 3) {
        const std::string_view below = trim(suffix.substr(line_end));
        text_closes_ = below.starts_with("\"\"\"") || below.starts_with("'''");
      }
    }
    take(scanner.push(suffix[i]));
  }
  if (in_text && !left_text) text_closes_ = !scanner.in_text();
  take(scanner.finish());
  floor_ = cursor_depth_;
  while (floor_ > 0 && !closed[size_t(floor_ - 1)]) --floor_;

  if (typed_ && !rest_blank_) {
    const bool closes_only = rest.find_first_not_of(")]};,: \t") == std::string_view::npos && rest_end < line_end;
    in_middle_ = !closes_only;
    rest_ = trim(rest.substr(0, std::min(rest_end, line_end)));
    rest_blanks_ = rest.find_first_not_of(" \t");
    // A letter alone says too little, and nobody writes that much again.
    if ((rest_.size() == 1 && is_word(rest_[0])) || rest_.size() > kLongestRest) rest_.clear();
  }
  for (size_t at = rest_is_line_ ? 0 : std::min(line_end + 1, suffix.size()); at < suffix.size();) {
    const size_t end = std::min(suffix.find('\n', at), suffix.size());
    std::string text(suffix.substr(at, end - at));
    if (at == 0) text = cursor_line_ + text;
    // What only closes something is the brackets' business.
    if (const std::string_view words = trim(text); !words.empty() && !(following_.empty() && only_closes(words))) {
      if (following_.size() == kFollowingLines) return;
      const std::string trimmed(words);
      text.resize(text.find_last_not_of(" \t\r\f\v") + 1);
      following_.push_back({std::move(text), trimmed});
    }
    at = end + 1;
  }
  all_following_ = true;
}

std::string CodeStop::push(std::string_view piece) {
  for (char c : piece) {
    if (stopped_) return release(text_.size());
    if (c == '\r') continue;
    if (strip_blanks_ && text_.empty() && (c == ' ' || c == '\t')) continue;
    read(c);
  }
  return release(stopped_ ? text_.size() : safe());
}

std::string CodeStop::finish() {
  if (!stopped_) {
    for (const CodeScanner::Event& event : std::vector(scanner_.finish())) {
      at_event(event);
      if (stopped_) break;
    }
    if (!stopped_ && pending_ && !pending_word_.empty()) decide('\n');
    const std::string_view last = trim(line());
    // The last line may lack its newline, or be cut short.
    if (!stopped_ && matched_ > 0 && (last.empty() || following_[matched_].trimmed.starts_with(last)))
      stop(match_at_, "suffix");
    else if (!stopped_ && !following_.empty() && following_[0].trimmed == last && word_bytes(last) >= 4 && (!first_line_ || !typed_))
      stop(rest_is_line_ ? line_at_ + line().find(last.front()) : line_at_, "suffix");
    if (!stopped_) drop_rest();
    stopped_ = true;
  }
  return release(text_.size());
}

void CodeStop::read(char c) {
  const size_t at = text_.size();
  const bool line_begins = new_line_;
  const bool in_text = scanner_.in_text();
  const size_t end_size = scanner_.text_end_size();
  text_ += c;
  for (const CodeScanner::Event& event : std::vector(scanner_.push(c))) {
    at_event(event);
    if (stopped_) return;
  }
  if (was_in_text_ && in_text && !scanner_.in_text()) {
    was_in_text_ = false;
    if (text_closes_ && c != '\n') return stop(at + 1 >= end_size ? at + 1 - end_size : 0, "suffix");
  }
  if (c == '\n') {
    if (pending_ && !pending_word_.empty()) decide(c);
    if (!stopped_) at_line_end(at);
    return;
  }
  if (is_blank(c)) {
    if (pending_ && !pending_word_.empty()) decide(c);
    return;
  }
  solid_end_ = text_.size();
  if (pending_) decide(c);
  if (stopped_) return;
  if (line_begins) {
    new_line_ = false;
    at_line_start(c);
    if (stopped_) return;
  }
  if (!scanner_.in_line_comment()) last_solid_ = c;
}

void CodeStop::at_event(const CodeScanner::Event& event) {
  if (event.opens || event.depth >= floor_) return;
  // A word that began before the cursor cannot be taken back.
  if (event.at >= base_) stop(event.at - base_, event.block ? "block" : "suffix");
}

// `newline` stands at the end of text_.
void CodeStop::at_line_end(size_t newline) {
  if (match_line(newline)) return;
  const std::string_view words = trim(std::string_view(text_).substr(line_at_, newline - line_at_));
  if (!words.empty()) {
    equal_lines_ = words == previous_line_ ? equal_lines_ + 1 : 1;
    if (equal_lines_ >= kEqualLines && word_bytes(words) >= 4) return stop(newline, "repeat");
    previous_line_ = words;
  }
  const bool inside = scanner_.line_goes_on() && !(language_->blocks == CodeLanguage::Blocks::kNone);
  const bool any = solid_end_ > 0;
  const bool ends_line = in_middle_ && scanner_.depth() <= cursor_depth_ && !scanner_.in_text();
  if ((scope_ == Scope::kLine && any) || (scope_ == Scope::kBlock && ends_line)) return stop(newline, "line");
  if (scope_ == Scope::kBlock && !inside && (any || typed_)) {
    if (language_->blocks == CodeLanguage::Blocks::kIndent)
      ended_line_by_indent(last_solid_);
    else if (language_->blocks != CodeLanguage::Blocks::kNone)
      ended_line_by_depth(newline, last_solid_);
  }
  if (scanner_.depth() > cursor_depth_ && scanner_.block_depth() > cursor_depth_) saw_block_ = true;
  line_at_ = text_.size();
  first_line_ = false;
  new_line_ = true;
  line_inside_ = inside;
}

// A line's end in a language of indentation: did it begin the block that the completion is about?
void CodeStop::ended_line_by_indent(char last_solid) {
  const std::string whole = (first_line_ ? cursor_line_ : "") + std::string(line());
  if (trim(whole).empty()) return;
  const int indent = indent_of(whole);
  if (!base_known_) {
    base_known_ = true;
    // The block under the line above, or the one that the first line is in.
    base_indent_ = !typed_ && header_indent_ >= 0 && indent > header_indent_ ? header_indent_ + 1 : indent;
  }
  const char last = last_solid ? last_solid : trim(whole).back();
  const bool unit = (statement_ && typed_) || base_indent_ == 0;
  if (unit && indent <= base_indent_ && last == ':') unit_open_ = true;
  if (statement_) statement_ = false;
  last_solid_ = 0;
}

void CodeStop::at_line_start(char c) {
  if (scope_ != Scope::kBlock || line_inside_ || language_->blocks != CodeLanguage::Blocks::kIndent) return;
  const int indent = indent_of(line());
  if (!base_known_) return;
  if (indent < base_indent_) return stop(line_at_, "block");
  if (unit_open_ && indent <= base_indent_) {
    if (c == ')' || c == ']' || c == '}') return;
    pending_ = true;
    pending_at_ = line_at_;
    pending_word_.clear();
    decide(c);
  }
}

// A line's end where blocks have ends of their own.
void CodeStop::ended_line_by_depth(size_t newline, char last_solid) {
  const int depth = scanner_.depth();
  bool ends = depth < cursor_block_depth_ || (cursor_block_depth_ == 0 && depth <= cursor_depth_ && saw_block_);
  if (statement_ && typed_ && depth <= cursor_depth_) {
    if (saw_block_) ends = true;
    if (last_solid == ';' || last_solid == '}') statement_ = false;
  }
  if (depth <= cursor_depth_) saw_block_ = false;
  if (!ends) return;
  pending_ = true;
  pending_at_ = newline;
  pending_word_.clear();
}

// The first word of the line behind a block's end, byte by byte: does it go on with the block?
void CodeStop::decide(char c) {
  if (is_word(c) && pending_word_.size() < 16) {
    pending_word_ += c;
    return;
  }
  const bool goes_on = std::ranges::find(language_->goes_on, pending_word_) != language_->goes_on.end();
  const bool chained = pending_word_.empty() && (c == '.' || c == ')' || c == '{' || c == '}' || c == ']');
  const bool by_indent = language_->blocks == CodeLanguage::Blocks::kIndent;
  pending_ = false;
  if (goes_on || (chained && !by_indent)) return;
  stop(pending_at_, "block");
}

// The line that ends at `end`, against those behind the cursor. True: it stopped.
bool CodeStop::match_line(size_t end) {
  const std::string_view line = std::string_view(text_).substr(line_at_, end - line_at_);
  const std::string_view words = trim(line);
  if (words.empty() || following_.empty() || (first_line_ && typed_)) return false;
  if (matched_ > 0 && words != following_[matched_].trimmed) matched_ = 0;
  if (matched_ == 0) {
    if (words != following_[0].trimmed) return false;
    match_at_ = rest_is_line_ ? line_at_ + line.find(words.front()) : line_at_;
  }
  ++matched_;
  int64_t letters = 0;
  for (size_t i = 0; i < matched_; ++i) letters += word_bytes(following_[i].trimmed);
  const std::string whole = (first_line_ ? cursor_line_ : "") + std::string(line.substr(0, line.find_last_not_of(" \t") + 1));
  const bool one = matched_ == 1 && letters >= 10 && whole == following_[0].text;
  const bool some = (matched_ == 2 && letters >= 8) || matched_ >= 3 || matched_ == following_.size();
  if (!one && !(some && (matched_ > 1 || (all_following_ && letters > 0 && whole == following_[0].text)))) {
    if (matched_ == following_.size()) matched_ = 0;
    return false;
  }
  stop(match_at_, "suffix");
  return true;
}

void CodeStop::stop(size_t at, const char* reason) {
  text_.resize(std::max(at, sent_));
  stopped_ = true;
  reason_ = reason;
  drop_rest();
  trim_end();
}

// The rest of the cursor's line, written once more at the end.
void CodeStop::drop_rest() {
  if (rest_.empty() || !in_middle_) return;
  const size_t end = text_.find_last_not_of(" \t\n") + 1;
  const std::string_view text = std::string_view(text_).substr(0, end);
  if (!text.ends_with(rest_) || end - rest_.size() < sent_) return;
  size_t kept = end - rest_.size();
  for (size_t i = 0; i < rest_blanks_ && kept > sent_ && (text_[kept - 1] == ' ' || text_[kept - 1] == '\t'); ++i) --kept;
  text_.resize(kept);
}

void CodeStop::trim_end() {
  if (!rest_blank_) return;
  const size_t end = text_.find_last_not_of(" \t\n");
  text_.resize(std::max(end == std::string::npos ? 0 : end + 1, sent_));
}

// How much of text_ no rule can take back.
size_t CodeStop::safe() const {
  size_t end = solid_end_;
  if (pending_) end = std::min(end, pending_at_);
  if (scanner_.word_at() >= base_) end = std::min(end, scanner_.word_at() - base_);
  if (was_in_text_ && text_closes_) {
    size_t quotes = text_.size();
    while (quotes > 0 && text_.size() - quotes < 24 && (text_[quotes - 1] == '"' || text_[quotes - 1] == '\'' || text_[quotes - 1] == '#'))
      --quotes;
    end = std::min(end, quotes);
  }
  if (!following_.empty() && (!first_line_ || !typed_)) {
    if (matched_ > 0) end = std::min(end, match_at_);
    const std::string_view words = trim(line());
    if (following_[0].trimmed.starts_with(words)) end = std::min(end, line_at_);
  }
  if (in_middle_ && !rest_.empty()) {
    const size_t solid = text_.find_last_not_of(" \t\n") + 1;
    for (size_t n = std::min(rest_.size(), solid); n > 0; --n)
      if (std::string_view(text_).substr(solid - n, n) == std::string_view(rest_).substr(0, n)) {
        end = std::min(end, solid - n);
        break;
      }
  }
  // Blanks in front of what may go would be at the end then.
  while (end > sent_ && is_blank(text_[end - 1])) --end;
  return end;
}

std::string CodeStop::release(size_t end) {
  if (end <= sent_) return "";
  std::string out = text_.substr(sent_, end - sent_);
  sent_ = end;
  if (!crlf_) return out;
  std::string lines;
  for (char c : out) {
    if (c == '\n') lines += '\r';
    lines += c;
  }
  return lines;
}

}  // namespace r1::api
