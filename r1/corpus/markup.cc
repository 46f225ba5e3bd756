#include "r1/corpus/markup.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <vector>

#include "r1/base/strings.h"
#include "r1/base/utf8.h"
#include "r1/corpus/html_entities.h"

namespace r1::corpus {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

// The tag that begins at text[at] == '<'. Its end, behind the '>'; npos: it never closes.
struct Tag {
  std::string name;  // lower case, without a prefix ("xhtml:p" is p)
  bool closing = false, empty = false;
  std::string_view attributes;
  size_t end = std::string_view::npos;
};

Tag tag_at(std::string_view text, size_t at) {
  Tag tag;
  size_t i = at + 1;
  if (i < text.size() && text[i] == '/') tag.closing = true, ++i;
  for (; i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == ':' || text[i] == '-'); ++i)
    tag.name += char(std::tolower(static_cast<unsigned char>(text[i])));
  if (const size_t colon = tag.name.rfind(':'); colon != std::string::npos) tag.name.erase(0, colon + 1);
  const size_t from = i;
  for (char quote = 0; i < text.size(); ++i) {
    if (quote) {
      if (text[i] == quote) quote = 0;
    } else if ((text[i] == '"' || text[i] == '\'') && i > from && text[i - 1] == '=') {
      quote = text[i];
    } else if (text[i] == '>') {
      tag.attributes = text.substr(from, i - from);
      tag.empty = tag.attributes.ends_with('/');
      tag.end = i + 1;
      return tag;
    }
  }
  // a quote that never closes: the next '>' will do
  if (const size_t end = text.find('>', from); end != std::string_view::npos) tag.end = end + 1;
  return tag;
}

std::string attribute(std::string_view attributes, std::string_view name) {
  for (size_t at = 0; (at = attributes.find(name, at)) != std::string_view::npos; at += name.size()) {
    if (at > 0 && !is_blank(attributes[at - 1])) continue;
    size_t from = at + name.size();
    while (from < attributes.size() && is_blank(attributes[from])) ++from;
    if (from >= attributes.size() || attributes[from] != '=') continue;
    ++from;
    while (from < attributes.size() && is_blank(attributes[from])) ++from;
    if (from >= attributes.size()) return "";
    const char quote = attributes[from];
    const bool quoted = quote == '"' || quote == '\'';
    const size_t begin = from + (quoted ? 1 : 0);
    const size_t end = quoted ? attributes.find(quote, begin) : attributes.find_first_of(" \t\r\n/", begin);
    return unescaped(attributes.substr(begin, end == std::string_view::npos ? end : end - begin), References::kClosed);
  }
  return "";
}

bool is_one_of(std::string_view name, std::string_view names) {
  const std::string key = " " + std::string(name) + " ";
  return names.find(key) != std::string_view::npos;
}
constexpr std::string_view kBlocks =
    " p div h1 h2 h3 h4 h5 h6 ul ol dl table section article header footer nav aside main figure figcaption blockquote form fieldset "
    "address "
    "details summary hr body html caption center ";
constexpr std::string_view kLines = " br li dt dd tr thead tbody tfoot option ";
constexpr std::string_view kUnseen = " script style template noscript head iframe svg object ";

// Writes text with blanks folded and asks for line ends, of which the largest wins.
class Writer {
 public:
  void text(std::string_view part) {
    for (const char c : part) {
      if (pre_) {
        begin();
        out_ += c;
      } else if (is_blank(c)) {
        space_ = true;
      } else {
        begin();
        out_ += c;
      }
    }
  }
  void lines(int n) {
    ends_ = std::max(ends_, n);
    space_ = false;
  }
  void mark(std::string_view text) {  // in front of what comes next, without a blank of its own
    begin();
    out_ += text;
  }
  // Behind what was written, even if a blank was waiting.
  void close(std::string_view text) { out_ += text; }
  void pre(bool on) { pre_ = on; }
  bool is_pre() const { return pre_; }
  bool at_line_start() const { return out_.empty() || ends_ > 0 || out_.ends_with('\n'); }
  std::string take() {
    while (!out_.empty() && is_blank(out_.back())) out_.pop_back();
    return std::move(out_);
  }

 private:
  void begin() {
    if (!out_.empty()) {
      int there = 0;
      while (there < 2 && size_t(there) < out_.size() && out_[out_.size() - 1 - size_t(there)] == '\n') ++there;
      out_.append(size_t(std::max(0, ends_ - there)), '\n');
      if (space_ && ends_ == 0 && !out_.ends_with('\n') && !out_.ends_with('\t')) out_ += ' ';
    }
    ends_ = 0;
    space_ = false;
  }
  std::string out_;
  int ends_ = 0;
  bool space_ = false, pre_ = false;
};

// Behind the closing tag of `name` that follows; the end of the text if there is none.
size_t past_closing(std::string_view text, size_t at, const std::string& name) {
  while ((at = text.find("</", at)) != std::string_view::npos) {
    const Tag tag = tag_at(text, at);
    if (tag.name == name) return tag.end == std::string_view::npos ? text.size() : tag.end;
    at += 2;
  }
  return text.size();
}

class Reading {
 public:
  explicit Reading(std::string_view markup) : text_(markup) {}

  std::string run() {
    while (at_ < text_.size()) {
      const size_t open = std::min(text_.find('<', at_), text_.size());
      if (open > at_) writer_.text(unescaped(text_.substr(at_, open - at_), References::kClosed));
      at_ = open;
      if (at_ < text_.size()) element();
    }
    if (writer_.is_pre()) end_pre();
    return writer_.take();
  }

 private:
  void element() {
    const std::string_view left = text_.substr(at_);
    if (left.starts_with("<!--")) return past("-->");
    if (left.starts_with("<![CDATA[")) {
      const size_t end = std::min(left.find("]]>"), left.size());
      writer_.text(left.substr(9, end - 9));
      at_ = std::min(text_.size(), at_ + end + 3);
      return;
    }
    if (left.starts_with("<!")) return past(">");
    if (left.starts_with("<?")) return past(">");
    const char next = left.size() > 1 ? left[1] : ' ';
    if (next != '/' && !std::isalpha(static_cast<unsigned char>(next))) {  // a less-than sign
      writer_.text("<");
      ++at_;
      return;
    }
    const Tag tag = tag_at(text_, at_);
    if (tag.end == std::string_view::npos) {
      at_ = text_.size();
      return;
    }
    at_ = tag.end;
    if (!tag.closing && !tag.empty && is_one_of(tag.name, kUnseen)) {
      at_ = past_closing(text_, at_, tag.name);
      return;
    }
    apply(tag);
  }

  void apply(const Tag& tag) {
    const std::string& name = tag.name;
    if (name == "pre") {
      if (!tag.closing && !writer_.is_pre()) {
        writer_.lines(2);
        writer_.mark("```\n");
        writer_.pre(true);
        if (at_ < text_.size() && text_[at_] == '\n') ++at_;
      } else if (tag.closing && writer_.is_pre()) {
        end_pre();
      }
    } else if (writer_.is_pre()) {
      if (name == "br") writer_.text("\n");
    } else if (name == "code" || name == "tt") {
      if (!tag.empty) tag.closing ? writer_.close("`") : writer_.mark("`");
    } else if (name == "td" || name == "th") {
      if (!tag.closing && !writer_.at_line_start()) writer_.lines(0), writer_.close("\t");
    } else if (name == "ol" || name == "ul") {
      list(tag);
    } else if (name == "li") {
      writer_.lines(1);
      if (!tag.closing) item();
    } else if (name == "img") {
      writer_.text(attribute(tag.attributes, "alt"));
    } else if (is_one_of(name, kBlocks)) {
      writer_.lines(inside_item_ ? 1 : 2);
      if (tag.closing) inside_item_ = false;
    } else if (is_one_of(name, kLines)) {
      writer_.lines(1);
    }
  }

  void list(const Tag& tag) {
    constexpr size_t kDeep = 64;  // deeper lists count as the last one
    if (!tag.closing) {
      writer_.lines(numbers_.empty() ? 2 : 1);
      if (numbers_.size() < kDeep) numbers_.push_back(tag.name == "ol" ? 1 : 0);
    } else if (!numbers_.empty()) {
      numbers_.pop_back();
      writer_.lines(numbers_.empty() ? 2 : 1);
    }
    inside_item_ = false;
  }
  void item() {
    std::string mark(2 * (numbers_.empty() ? 0 : numbers_.size() - 1), ' ');
    if (!numbers_.empty() && numbers_.back() > 0)
      mark += std::to_string(numbers_.back()++) + ". ";
    else
      mark += "- ";
    writer_.mark(mark);
    inside_item_ = true;  // its first paragraph stands beside the mark
    skip_paragraph();
  }
  // "<li><p>": the paragraph begins on the item's line.
  void skip_paragraph() {
    size_t i = at_;
    while (i < text_.size() && is_blank(text_[i])) ++i;
    if (i + 1 < text_.size() && text_[i] == '<' && (text_[i + 1] == 'p' || text_[i + 1] == 'P')) {
      const Tag tag = tag_at(text_, i);
      if (tag.name == "p" && tag.end != std::string_view::npos) i = tag.end;
    }
    while (i < text_.size() && is_blank(text_[i])) ++i;
    at_ = i;
  }
  void end_pre() {
    writer_.pre(false);
    writer_.lines(1);
    writer_.mark("```");
    writer_.lines(2);
  }
  void past(std::string_view end) {
    const size_t found = text_.find(end, at_);
    at_ = found == std::string_view::npos ? text_.size() : found + end.size();
  }

  std::string_view text_;
  size_t at_ = 0;
  Writer writer_;
  std::vector<int> numbers_;  // of the lists that are open: the next item's; 0 in those without
  bool inside_item_ = false;
};

}  // namespace

std::string text_of_markup(std::string_view markup) {
  return Reading(markup).run();
}

std::string title_of_markup(std::string_view markup) {
  for (size_t at = 0; (at = markup.find('<', at)) != std::string_view::npos; ++at) {
    if (at + 5 >= markup.size() || std::tolower(static_cast<unsigned char>(markup[at + 1])) != 't') continue;
    const Tag tag = tag_at(markup, at);
    if (tag.end == std::string_view::npos) break;
    if (tag.name != "title" || tag.closing) continue;
    std::string out;
    for (const char c :
         unescaped(markup.substr(tag.end, std::min(markup.find('<', tag.end), markup.size()) - tag.end), References::kClosed)) {
      if (!is_blank(c))
        out += c;
      else if (!out.empty() && out.back() != ' ')
        out += ' ';
    }
    return std::string(trim(out));
  }
  return "";
}

}  // namespace r1::corpus
