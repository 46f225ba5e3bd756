#include "r1/corpus/html_text.h"

#include <algorithm>
#include <vector>

#include "r1/base/strings.h"
#include "r1/corpus/boilerplate.h"

namespace r1::corpus {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}
bool is_heading(Tag t) {
  return t >= Tag::kH1 && t <= Tag::kH6;
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Bytes of a blank at text[i]: ASCII's, the no-break space, those of general punctuation that are as wide; 0 if none.
size_t blank_at(std::string_view text, size_t i) {
  const uint8_t c = uint8_t(text[i]);
  if (is_blank(char(c))) return 1;
  if (c == 0xC2 && i + 1 < text.size() && uint8_t(text[i + 1]) == 0xA0) return 2;
  if (c == 0xE2 && i + 2 < text.size() && uint8_t(text[i + 1]) == 0x80) {
    const uint8_t d = uint8_t(text[i + 2]);
    if ((d >= 0x80 && d <= 0x8A) || d == 0xAF || d == 0xA8 || d == 0xA9) return 3;
  }
  return 0;
}

// Appends with runs of blanks as one, none at the start of a line.
void append_joined(std::string& line, std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    if (const size_t n = blank_at(text, i)) {
      if (!line.empty() && line.back() != ' ' && line.back() != '\n') line += ' ';
      i += n;
      continue;
    }
    line += text[i++];
  }
}

std::string code_language(const HtmlTree& tree, int32_t node) {
  if (const auto lang = tree.attribute(node, Attr::kDataLang); !lang.empty() && lang.size() < 20) return std::string(lang);
  std::string_view names = tree.attribute(node, Attr::kClass);
  while (!names.empty()) {
    const size_t end = std::min(names.find_first_of(" \t\n"), names.size());
    std::string_view name = names.substr(0, end);
    for (std::string_view start : {"language-", "lang-", "highlight-source-", "brush:", "sourceCode-"})
      if (name.starts_with(start) && name.size() > start.size() && name.size() < start.size() + 20) {
        name.remove_prefix(start.size());
        if (std::all_of(name.begin(), name.end(),
                        [](char c) { return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '+' || c == '#' || c == '-'; }))
          return std::string(name);
      }
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return {};
}

class Writer {
 public:
  Writer(const HtmlTree& tree, const HtmlContent& content, const HtmlOptions& options, std::string_view title)
      : tree_(tree), content_(content), options_(options), title_(title) {}

  std::string run() {
    children(content_.root());
    flush();
    drop_empty_headings();
    for (int32_t node : content_.comments()) {
      children(node);
      flush();
    }
    return join();
  }

 private:
  // A finished block of the text.
  struct Block {
    std::string text;
    int heading = 0;     // 1..6
    bool tight = false;  // no blank line before it
  };

  void children(int32_t node) {
    for (int32_t c = tree_[node].first; c >= 0; c = tree_[c].next)
      if (!content_.dropped(c)) write(c);
  }

  void write(int32_t node) {
    const Node& n = tree_[node];
    switch (n.tag) {
      case Tag::kText:
        scratch_.clear();
        append_unescaped(scratch_, n.text);
        append_joined(line_, scratch_);
        return;
      case Tag::kBr:
        while (!line_.empty() && line_.back() == ' ') line_.pop_back();
        if (!line_.empty()) line_ += '\n';
        return;
      case Tag::kWbr:
      case Tag::kRt:
      case Tag::kRp:
      case Tag::kDel:
        return;
      case Tag::kMath:
        return formula(node);
      case Tag::kA:
        return link(node);
      case Tag::kSup:
        return superscript(node);
      case Tag::kPre:
      case Tag::kListing:
      case Tag::kXmp:
      case Tag::kPlaintext:
        return listing(node);
      case Tag::kUl:
      case Tag::kOl:
      case Tag::kMenu:
        return list(node);
      case Tag::kDl:
        if (!options_.lists) return;
        break;
      case Tag::kTable:
        return table(node);
      default:
        break;
    }
    if (!(traits(n.tag) & kBlock)) return children(node);
    flush();
    if (n.tag == Tag::kLi) pending_mark_ = "- ";  // an item without a list
    const int heading = is_heading(n.tag) ? int(n.tag) - int(Tag::kH1) + 1 : 0;
    children(node);
    if (heading) heading_ = heading;
    flush();
  }

  void formula(int32_t node) {
    for (uint32_t i = uint32_t(node); i < tree_[node].end; ++i)
      if (tree_[int32_t(i)].tag == Tag::kAnnotation && tree_.attribute(int32_t(i), Attr::kEncoding) == "application/x-tex")
        return tex(plain_text(tree_, int32_t(i)));
    if (const auto alt = tree_.attribute(node, Attr::kAlttext); !alt.empty()) return tex(one_line(alt, References::kAttribute));
    append_joined(line_, plain_text(tree_, node));
  }
  void tex(const std::string& source) {
    if (source.empty()) return;
    line_ += '$';
    line_ += source;
    line_ += '$';
  }

  void link(int32_t node) {
    if (is_anchor(node)) return;
    if (!options_.links) return children(node);
    const std::string address = one_line(tree_.attribute(node, Attr::kHref), References::kAttribute);
    const size_t begin = line_.size();
    children(node);
    // A link around blocks has no form in a line.
    if (begin >= line_.size() || address.empty() || address[0] == '#' || address.starts_with("javascript:")) return;
    std::string label(trim(std::string_view(line_).substr(begin)));
    if (label.empty()) return;
    const bool blank_after = line_.back() == ' ';
    line_.resize(begin);
    line_ += '[' + label + "](" + address + ')';
    if (blank_after) line_ += ' ';
  }

  // The mark beside a heading that leads to itself.
  bool is_anchor(int32_t node) const {
    if (!tree_.attribute(node, Attr::kHref).starts_with('#') || tree_[node].end - uint32_t(node) > 3) return false;
    const std::string inside = plain_text(tree_, node);
    return inside == "§" || inside == "¶" || inside == "#" || inside == "🔗" || inside == "↩" || inside == "\xEF\x83\x81";
  }

  // 10<sup>5</sup> is not 105; a footnote's mark is no number.
  void superscript(int32_t node) {
    const std::string inside = plain_text(tree_, node);
    const bool number = !inside.empty() && inside.size() < 8 && inside.find_first_not_of("0123456789+-n.") == inside.npos;
    if (number && content_.links(node) == 0 && !line_.empty() &&
        (is_digit(line_.back()) || line_.back() == ')' || (line_.back() | 32) == 'x') && !has_link(node))
      line_ += '^';
    if (has_link(node) && inside.size() < 8) return;
    children(node);
  }
  bool has_link(int32_t node) const {
    for (uint32_t i = uint32_t(node); i < tree_[node].end; ++i)
      if (tree_[int32_t(i)].tag == Tag::kA) return true;
    return tree_[node].parent >= 0 && tree_[tree_[node].parent].tag == Tag::kA;
  }

  void listing(int32_t node) {
    if (!options_.code) return;
    flush();
    std::string code, language = code_language(tree_, node);
    listing_text(node, code, language);
    if (language.empty() && tree_[node].parent >= 0) language = code_language(tree_, tree_[node].parent);
    for (size_t at = code.find('\r'); at != code.npos; at = code.find('\r', at)) {
      if (at + 1 < code.size() && code[at + 1] == '\n') {
        code.erase(at, 1);
      } else {
        code[at] = '\n';
      }
    }
    size_t begin = 0;
    while (begin < code.size()) {  // blank lines at the top
      const size_t end = code.find('\n', begin);
      if (end == code.npos || !trim(std::string_view(code).substr(begin, end - begin)).empty()) break;
      begin = end + 1;
    }
    const std::string_view body = std::string_view(code).substr(begin);
    const size_t last = body.find_last_not_of(" \t\n");
    if (last == body.npos) return;
    std::string fence = "```";
    while (body.find(fence) != body.npos) fence += '`';
    blocks_.push_back({fence + language + "\n" + std::string(body.substr(0, last + 1)) + "\n" + fence});
  }
  void listing_text(int32_t node, std::string& code, std::string& language) {
    for (int32_t c = tree_[node].first; c >= 0; c = tree_[c].next) {
      if (content_.dropped(c)) continue;
      const Node& n = tree_[c];
      if (n.tag == Tag::kText) {
        append_unescaped(code, n.text);
      } else if (n.tag == Tag::kBr) {
        code += '\n';
      } else {
        if (n.tag == Tag::kCode && language.empty()) language = code_language(tree_, c);
        const bool block = traits(n.tag) & kBlock;
        if (block && !code.empty() && code.back() != '\n') code += '\n';
        listing_text(c, code, language);
        if (block && !code.empty() && code.back() != '\n') code += '\n';
      }
    }
  }

  void list(int32_t node) {
    if (!options_.lists) return;
    flush();
    const bool ordered = tree_[node].tag == Tag::kOl;
    int64_t number = 1;
    if (const auto start = tree_.attribute(node, Attr::kStart);
        ordered && !start.empty() && start.size() < 7 && std::all_of(start.begin(), start.end(), is_digit))
      number = std::stoll(std::string(start));
    ++list_depth_;
    bool first = true;
    for (int32_t c = tree_[node].first; c >= 0; c = tree_[c].next) {
      if (content_.dropped(c)) continue;
      if (tree_[c].tag != Tag::kLi) {
        write(c);
        continue;
      }
      flush();
      pending_mark_ = ordered ? std::to_string(number++) + ". " : "- ";
      const size_t before = blocks_.size();
      children(c);
      flush();
      pending_mark_.clear();
      if (blocks_.size() > before) {
        blocks_[before].tight = !first || list_depth_ > 1;
        first = false;
      }
    }
    --list_depth_;
  }

  // Rows of cells whose text is a line each are data; anything else only lays out.
  bool is_data(int32_t node, int* rows, size_t* columns) const {
    *rows = 0;
    *columns = 0;
    size_t in_row = 0, cells = 0;
    for (uint32_t i = uint32_t(node) + 1; i < tree_[node].end; ++i) {
      const Tag t = tree_[int32_t(i)].tag;
      if (content_.dropped(int32_t(i))) continue;
      if (t == Tag::kTable || t == Tag::kPre || t == Tag::kUl || t == Tag::kOl || is_heading(t) || t == Tag::kBlockquote || t == Tag::kForm)
        return false;
      if (t == Tag::kTr) {
        ++*rows;
        in_row = 0;
      }
      if (t == Tag::kTd || t == Tag::kTh) {
        ++cells;
        *columns = std::max(*columns, ++in_row);
        if (content_.weight(int32_t(i)) > 600) return false;
      }
    }
    return *rows >= 2 && *columns >= 2 && cells >= size_t(*rows);
  }

  void table(int32_t node) {
    int rows;
    size_t columns;
    if (!is_data(node, &rows, &columns)) {
      flush();
      children(node);
      flush();
      return;
    }
    if (!options_.tables) return;
    flush();
    std::vector<Block> outer;
    std::swap(outer, blocks_);
    std::string text, caption;
    int written = 0;
    for (uint32_t i = uint32_t(node) + 1; i < tree_[node].end; ++i) {
      const int32_t row = int32_t(i);
      if (content_.dropped(row)) continue;
      if (tree_[row].tag == Tag::kCaption) caption = cell(row);
      if (tree_[row].tag != Tag::kTr) continue;
      std::string line = "|";
      size_t n = 0;
      bool any = false;
      for (int32_t c = tree_[row].first; c >= 0; c = tree_[c].next) {
        if (content_.dropped(c) || (tree_[c].tag != Tag::kTd && tree_[c].tag != Tag::kTh)) continue;
        const std::string inside = cell(c);
        any |= !inside.empty();
        line += ' ' + inside + " |";
        ++n;
      }
      if (!any) continue;
      for (; n < columns && n < 64; ++n) line += "  |";
      if (written++) text += '\n';
      text += line;
      if (written == 1) {
        text += "\n|";
        for (size_t c = 0; c < n; ++c) text += " --- |";
      }
    }
    std::swap(outer, blocks_);
    if (!caption.empty()) blocks_.push_back({caption});
    if (!text.empty()) blocks_.push_back({text});
  }
  std::string cell(int32_t node) {
    std::string saved;
    std::swap(saved, line_);
    blocks_.clear();
    in_cell_ = true;
    children(node);
    flush();
    in_cell_ = false;
    std::string text;
    for (const Block& b : blocks_) {
      if (!text.empty()) text += ' ';
      for (char c : b.text) {
        if (c == '|') text += '\\';
        text += c == '\n' ? ' ' : c;
      }
    }
    blocks_.clear();
    std::swap(saved, line_);
    return text;
  }

  void flush() {
    while (!line_.empty() && (line_.back() == ' ' || line_.back() == '\n')) line_.pop_back();
    const int heading = heading_;
    heading_ = 0;
    if (line_.empty()) return;
    if (!in_cell_ && is_boilerplate_line(line_)) {
      line_.clear();
      return;
    }
    Block block;
    block.heading = heading;
    const std::string indent(size_t(2 * std::max(0, list_depth_ - 1)), ' ');
    if (!pending_mark_.empty()) {
      block.text = indent + pending_mark_;
      pending_mark_.clear();
    } else if (list_depth_ > 0) {
      block.text = indent + "  ";
      block.tight = true;
    }
    // Two breaks in a row are a paragraph's end.
    for (size_t i = 0; i < line_.size(); ++i) {
      block.text += line_[i];
      if (line_[i] == '\n') {
        size_t j = i + 1;
        while (j < line_.size() && (line_[j] == '\n' || line_[j] == ' ')) ++j;
        if (std::count(line_.begin() + ptrdiff_t(i), line_.begin() + ptrdiff_t(j), '\n') > 1) block.text += '\n';
        i = j - 1;
      }
    }
    line_.clear();
    blocks_.push_back(std::move(block));
  }

  // A heading with nothing below it, not even a smaller heading, led to what was dropped.
  void drop_empty_headings() {
    int next = 1;  // rank of the heading that follows; 0: text does
    for (size_t i = blocks_.size(); i-- > 0;) {
      Block& b = blocks_[i];
      if (b.heading && next && b.heading >= next) {
        b.text.clear();
      } else {
        next = b.heading;
      }
    }
    std::erase_if(blocks_, [](const Block& b) { return b.text.empty(); });
  }

  std::string join() const {
    std::string text;
    bool at_top = true;
    for (const Block& b : blocks_) {
      if (at_top && b.heading && b.heading <= 2 && same_words(b.text, title_)) continue;
      at_top &= b.heading > 0;
      if (!text.empty()) text += b.tight ? "\n" : "\n\n";
      text += b.text;
    }
    return text;
  }
  static bool same_words(std::string_view a, std::string_view b) {
    const auto bare = [](std::string_view s) {
      std::string out;
      for (char c : s)
        if (uint8_t(c) >= 0x80 || is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'z')) out += c >= 'A' && c <= 'Z' ? char(c + 32) : c;
      return out;
    };
    return bare(a) == bare(b);
  }

  const HtmlTree& tree_;
  const HtmlContent& content_;
  const HtmlOptions& options_;
  std::string_view title_;
  std::vector<Block> blocks_;
  std::string line_, scratch_, pending_mark_;
  int heading_ = 0, list_depth_ = 0;
  bool in_cell_ = false;
};

}  // namespace

std::string one_line(std::string_view text, References which) {
  std::string line;
  append_joined(line, unescaped(text, which));
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

std::string plain_text(const HtmlTree& tree, int32_t node) {
  std::string line;
  for (uint32_t i = uint32_t(node); i < tree[node].end; ++i) {
    const Node& n = tree[int32_t(i)];
    if (n.tag == Tag::kText) append_joined(line, unescaped(n.text));
    if ((traits(n.tag) & kBlock || n.tag == Tag::kBr) && !line.empty() && line.back() != ' ') line += ' ';
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

std::string text_of(const HtmlTree& tree, const HtmlContent& content, const HtmlOptions& options, std::string_view title) {
  return Writer(tree, content, options, title).run();
}

}  // namespace r1::corpus
