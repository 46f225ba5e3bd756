#include "r1/corpus/html_tree.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <string>

namespace r1::corpus {
namespace {

struct TagRow {
  std::string_view name;
  Tag tag;
  uint16_t traits;
};

constexpr uint16_t kBox = kBlock | kClosesP | kSpecial;

// Sorted by name.
constexpr TagRow kTags[] = {
    {"a", Tag::kA, 0},
    {"address", Tag::kAddress, kBox},
    {"annotation", Tag::kAnnotation, 0},
    {"area", Tag::kArea, kVoid},
    {"article", Tag::kArticle, kBox},
    {"aside", Tag::kAside, kBox},
    {"audio", Tag::kAudio, kSkipped},
    {"base", Tag::kBase, kVoid | kHeadOnly},
    {"blockquote", Tag::kBlockquote, kBox},
    {"body", Tag::kBody, kBlock | kSpecial},
    {"br", Tag::kBr, kVoid},
    {"button", Tag::kButton, kSkipped | kScope | kSpecial},
    {"canvas", Tag::kCanvas, kSkipped},
    {"caption", Tag::kCaption, kBlock | kScope | kSpecial},
    {"center", Tag::kCenter, kBox},
    {"code", Tag::kCode, 0},
    {"colgroup", Tag::kColgroup, kSkipped | kSpecial},
    {"dd", Tag::kDd, kBox},
    {"del", Tag::kDel, 0},
    {"details", Tag::kDetails, kBox},
    {"dialog", Tag::kDialog, kBox | kSkipped},
    {"dir", Tag::kUl, kBox},
    {"div", Tag::kDiv, kBox},
    {"dl", Tag::kDl, kBox},
    {"dt", Tag::kDt, kBox},
    {"embed", Tag::kEmbed, kVoid},
    {"fieldset", Tag::kFieldset, kBox},
    {"figcaption", Tag::kFigcaption, kBox},
    {"figure", Tag::kFigure, kBox},
    {"footer", Tag::kFooter, kBox},
    {"form", Tag::kForm, kBox},
    {"h1", Tag::kH1, kBox},
    {"h2", Tag::kH2, kBox},
    {"h3", Tag::kH3, kBox},
    {"h4", Tag::kH4, kBox},
    {"h5", Tag::kH5, kBox},
    {"h6", Tag::kH6, kBox},
    {"head", Tag::kHead, kSpecial},
    {"header", Tag::kHeader, kBox},
    {"hgroup", Tag::kHgroup, kBox},
    {"hr", Tag::kHr, kVoid | kClosesP | kBlock},
    {"html", Tag::kHtml, kScope | kSpecial},
    {"iframe", Tag::kIframe, kRaw | kSkipped},
    {"img", Tag::kImg, kVoid},
    {"input", Tag::kInput, kVoid},
    {"kbd", Tag::kKbd, 0},
    {"label", Tag::kLabel, 0},
    {"legend", Tag::kLegend, kBlock},
    {"li", Tag::kLi, kBox},
    {"link", Tag::kLink, kVoid | kHeadOnly},
    {"listing", Tag::kListing, kBox},
    {"main", Tag::kMain, kBox},
    {"map", Tag::kMap, 0},
    {"math", Tag::kMath, 0},
    {"menu", Tag::kMenu, kBox},
    {"meta", Tag::kMeta, kVoid | kHeadOnly},
    {"nav", Tag::kNav, kBox},
    {"noembed", Tag::kNoembed, kRaw | kSkipped},
    {"noframes", Tag::kNoframes, kRaw | kSkipped | kHeadOnly},
    {"noscript", Tag::kNoscript, kSkipped | kHeadOnly},
    {"object", Tag::kObject, kSkipped | kScope | kSpecial},
    {"ol", Tag::kOl, kBox},
    {"optgroup", Tag::kOptgroup, kSkipped},
    {"option", Tag::kOption, kSkipped},
    {"output", Tag::kOutput, 0},
    {"p", Tag::kP, kBox},
    {"param", Tag::kParam, kVoid},
    {"plaintext", Tag::kPlaintext, kBox},
    {"pre", Tag::kPre, kBox},
    {"q", Tag::kQ, 0},
    {"rp", Tag::kRp, 0},
    {"rt", Tag::kRt, 0},
    {"ruby", Tag::kRuby, 0},
    {"samp", Tag::kSamp, 0},
    {"script", Tag::kScript, kRaw | kSkipped | kHeadOnly},
    {"search", Tag::kSearch, kBox},
    {"section", Tag::kSection, kBox},
    {"select", Tag::kSelect, kSkipped},
    {"source", Tag::kSource, kVoid},
    {"span", Tag::kSpan, 0},
    {"style", Tag::kStyle, kRaw | kSkipped | kHeadOnly},
    {"sub", Tag::kSub, 0},
    {"summary", Tag::kSummary, kBox},
    {"sup", Tag::kSup, 0},
    {"svg", Tag::kSvg, kSkipped},
    {"table", Tag::kTable, kBox | kScope},
    {"tbody", Tag::kTbody, kBlock | kSpecial},
    {"td", Tag::kTd, kBlock | kScope | kSpecial},
    {"template", Tag::kTemplate, kSkipped | kScope | kSpecial | kHeadOnly},
    {"textarea", Tag::kTextarea, kRaw | kSkipped},
    {"tfoot", Tag::kTfoot, kBlock | kSpecial},
    {"th", Tag::kTh, kBlock | kScope | kSpecial},
    {"thead", Tag::kThead, kBlock | kSpecial},
    {"time", Tag::kTime, 0},
    {"title", Tag::kTitle, kRaw | kSkipped | kHeadOnly},
    {"tr", Tag::kTr, kBlock | kSpecial},
    {"track", Tag::kTrack, kVoid},
    {"tt", Tag::kTt, 0},
    {"ul", Tag::kUl, kBox},
    {"video", Tag::kVideo, kSkipped},
    {"wbr", Tag::kWbr, kVoid},
    {"xmp", Tag::kXmp, kBox | kRaw},
};
static_assert(std::is_sorted(std::begin(kTags), std::end(kTags), [](const TagRow& a, const TagRow& b) { return a.name < b.name; }));

// Inline elements that say nothing about text or place: neither they nor their ends make nodes.
constexpr std::string_view kTransparent[] = {"abbr", "acronym", "b",   "bdi",  "bdo",  "big", "blink", "cite",   "col",    "dfn", "em",
                                             "font", "i",       "ins", "mark", "nobr", "s",   "small", "strike", "strong", "u",   "var"};
static_assert(std::is_sorted(std::begin(kTransparent), std::end(kTransparent)));

struct AttrRow {
  std::string_view name;
  Attr attr;
};
constexpr AttrRow kAttrs[] = {
    {"alt", Attr::kAlt},
    {"alttext", Attr::kAlttext},
    {"aria-hidden", Attr::kAriaHidden},
    {"aria-label", Attr::kAriaLabel},
    {"class", Attr::kClass},
    {"colspan", Attr::kColspan},
    {"content", Attr::kContent},
    {"data-lang", Attr::kDataLang},
    {"data-language", Attr::kDataLang},
    {"datetime", Attr::kDatetime},
    {"encoding", Attr::kEncoding},
    {"hidden", Attr::kHidden},
    {"href", Attr::kHref},
    {"id", Attr::kId},
    {"itemprop", Attr::kItemprop},
    {"itemtype", Attr::kItemtype},
    {"lang", Attr::kLang},
    {"name", Attr::kName},
    {"property", Attr::kProperty},
    {"rel", Attr::kRel},
    {"role", Attr::kRole},
    {"start", Attr::kStart},
    {"style", Attr::kStyle},
    {"type", Attr::kType},
    {"xml:lang", Attr::kLang},
};
static_assert(std::is_sorted(std::begin(kAttrs), std::end(kAttrs), [](const AttrRow& a, const AttrRow& b) { return a.name < b.name; }));

bool is_letter(char c) {
  return (c | 32) >= 'a' && (c | 32) <= 'z';
}
bool is_blank(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f';
}
bool all_blank(std::string_view s) {
  return std::all_of(s.begin(), s.end(), is_blank);
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? char(c + 32) : c;
}
bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

constexpr size_t kLongestName = 16;
// The name in lower case in `buffer`; empty if it is longer than any that is known.
std::string_view lowered(std::string_view name, std::array<char, kLongestName>& buffer) {
  if (name.size() > kLongestName) return {};
  std::transform(name.begin(), name.end(), buffer.begin(), lower);
  return {buffer.data(), name.size()};
}

const TagRow* tag_row(std::string_view name) {
  const auto* row =
      std::lower_bound(std::begin(kTags), std::end(kTags), name, [](const TagRow& r, std::string_view s) { return r.name < s; });
  return row != std::end(kTags) && row->name == name ? row : nullptr;
}

constexpr std::array<uint16_t, size_t(Tag::kCount)> make_traits() {
  std::array<uint16_t, size_t(Tag::kCount)> all{};
  for (const TagRow& row : kTags) all[size_t(row.tag)] = row.traits;
  return all;
}
constexpr auto kTraits = make_traits();

bool is_heading(Tag t) {
  return t >= Tag::kH1 && t <= Tag::kH6;
}
bool is_cell(Tag t) {
  return t == Tag::kTd || t == Tag::kTh;
}
bool is_section_of_table(Tag t) {
  return t == Tag::kThead || t == Tag::kTbody || t == Tag::kTfoot;
}

}  // namespace

uint16_t traits(Tag tag) {
  return kTraits[size_t(tag)];
}

std::string_view name_of(Tag tag) {
  for (const TagRow& row : kTags)
    if (row.tag == tag) return row.name;
  return tag == Tag::kText ? "#text" : "?";
}

std::string_view HtmlTree::attribute(int32_t node, Attr name) const {
  const Node& n = nodes_[size_t(node)];
  for (uint32_t i = 0; i < n.attributes; ++i)
    if (const Attribute& a = attributes_[n.first_attribute + i]; a.name == name) return a.value;
  return {};
}

bool HtmlTree::has_attribute(int32_t node, Attr name) const {
  const Node& n = nodes_[size_t(node)];
  for (uint32_t i = 0; i < n.attributes; ++i)
    if (attributes_[n.first_attribute + i].name == name) return true;
  return false;
}

// The tokenizer and the open elements.
class HtmlParser {
 public:
  HtmlParser(std::string_view page, HtmlTree& tree) : page_(page), tree_(tree) {}

  void run() {
    tree_.nodes_.reserve(page_.size() / 24 + 16);
    tree_.nodes_.push_back({});
    tree_.nodes_[0].tag = Tag::kHtml;
    open_.push_back(0);
    count(Tag::kHtml, 1);
    size_t text = 0;  // where the text that is not yet a node begins
    while (true) {
      const size_t lt = page_.find('<', at_);
      if (lt == page_.npos) break;
      const size_t after = markup(lt, text);
      if (after == lt) {  // a '<' that is only a character
        at_ = lt + 1;
        continue;
      }
      at_ = text = after;
      if (tree_.nodes_.size() >= HtmlTree::kMaxNodes) {
        tree_.cut_ = true;
        break;
      }
    }
    if (!tree_.cut_) add_text(text, page_.size());
    for (int32_t node : open_) tree_.nodes_[size_t(node)].end = uint32_t(tree_.nodes_.size());
  }

 private:
  // The end of the markup that begins at `lt`, which is handled; `lt` itself if it is none. The text from `text` to `lt` comes before it.
  size_t markup(size_t lt, size_t text) {
    if (lt + 1 >= page_.size()) return lt;
    const char c = page_[lt + 1];
    if (is_letter(c)) return start_tag(lt, text);
    if (c == '/') {
      if (lt + 2 >= page_.size()) return lt;
      if (is_letter(page_[lt + 2])) return end_tag(lt, text);
      add_text(text, lt);
      return after_first('>', lt + 2);
    }
    if (c != '!' && c != '?') return lt;
    add_text(text, lt);
    if (!page_.substr(lt).starts_with("<!--")) return after_first('>', lt + 2);
    if (page_.substr(lt).starts_with("<!-->")) return lt + 5;
    if (page_.substr(lt).starts_with("<!--->")) return lt + 6;
    // A comment without an end is one up to the next '>': browsers would drop the rest of the page.
    if (lt < no_comment_end_) {
      for (size_t end = page_.find("--", lt + 4); end != page_.npos; end = page_.find("--", end + 1)) {
        if (end + 2 < page_.size() && page_[end + 2] == '>') return end + 3;
        if (end + 3 < page_.size() && page_[end + 2] == '!' && page_[end + 3] == '>') return end + 4;
      }
      no_comment_end_ = lt;
    }
    return after_first('>', lt + 4);
  }

  size_t after_first(char c, size_t from) const {
    const size_t end = page_.find(c, from);
    return end == page_.npos ? page_.size() : end + 1;
  }

  std::string_view name_at(size_t at) const {
    size_t end = at;
    while (end < page_.size() && !is_blank(page_[end]) && page_[end] != '>' && page_[end] != '/' && page_[end] != '<') ++end;
    return page_.substr(at, end - at);
  }

  // Reads attributes from `at` to behind the '>'; those of interest go to the tree.
  size_t attributes(size_t at, bool* closes_itself) {
    first_attribute_ = tree_.attributes_.size();
    *closes_itself = false;
    while (at < page_.size()) {
      const char c = page_[at];
      if (c == '>') return at + 1;
      if (is_blank(c)) {
        ++at;
        continue;
      }
      if (c == '/') {
        *closes_itself = at + 1 < page_.size() && page_[at + 1] == '>';
        ++at;
        continue;
      }
      // A tag that is never closed ends where the next begins.
      if (c == '<' && at + 1 < page_.size() && (is_letter(page_[at + 1]) || page_[at + 1] == '/')) return at;
      const size_t name_begin = at++;
      while (at < page_.size() && !is_blank(page_[at]) && page_[at] != '=' && page_[at] != '>' && page_[at] != '/') ++at;
      const std::string_view name = page_.substr(name_begin, at - name_begin);
      size_t eq = at;
      while (eq < page_.size() && is_blank(page_[eq])) ++eq;
      std::string_view value;
      if (eq < page_.size() && page_[eq] == '=') {
        at = eq + 1;
        while (at < page_.size() && is_blank(page_[at])) ++at;
        value = attribute_value(&at);
      }
      keep_attribute(name, value);
    }
    return page_.size();
  }

  std::string_view attribute_value(size_t* at) {
    if (*at >= page_.size()) return {};
    const char quote = page_[*at];
    if (quote == '"' || quote == '\'') {
      size_t& none_after = quote == '"' ? no_double_quote_ : no_single_quote_;
      if (*at < none_after) {
        const size_t end = page_.find(quote, *at + 1);
        if (end != page_.npos) {
          const std::string_view value = page_.substr(*at + 1, end - *at - 1);
          *at = end + 1;
          return value;
        }
        none_after = *at;  // a quote without an end: the value ends with the tag
      }
    }
    const size_t begin = *at;
    while (*at < page_.size() && !is_blank(page_[*at]) && page_[*at] != '>') ++*at;
    return page_.substr(begin, *at - begin);
  }

  void keep_attribute(std::string_view name, std::string_view value) {
    std::array<char, kLongestName> buffer;
    const std::string_view low = lowered(name, buffer);
    const auto* row =
        std::lower_bound(std::begin(kAttrs), std::end(kAttrs), low, [](const AttrRow& r, std::string_view s) { return r.name < s; });
    if (row == std::end(kAttrs) || row->name != low) return;
    auto& kept = tree_.attributes_;
    if (kept.size() - first_attribute_ >= HtmlTree::kMaxAttributes) return;
    for (size_t i = first_attribute_; i < kept.size(); ++i)
      if (kept[i].name == row->attr) return;  // the first counts
    kept.push_back({row->attr, value});
  }

  size_t start_tag(size_t lt, size_t text) {
    const std::string_view name = name_at(lt + 1);
    std::array<char, kLongestName> buffer;
    const std::string_view low = lowered(name, buffer);
    const TagRow* row = tag_row(low);
    add_text(text, lt);
    bool closes_itself;
    size_t after = attributes(lt + 1 + name.size(), &closes_itself);
    if (!row && std::binary_search(std::begin(kTransparent), std::end(kTransparent), low)) {
      tree_.attributes_.resize(first_attribute_);
      return after;
    }
    const Tag tag = row ? row->tag : Tag::kUnknown;
    if (tag == Tag::kHtml) {  // its attributes are the page's, whatever it stands behind
      Node& html = tree_.nodes_[0];
      if (html.attributes == 0) {
        html.first_attribute = uint32_t(first_attribute_);
        html.attributes = uint8_t(tree_.attributes_.size() - first_attribute_);
      }
      return after;
    }
    if (!make_place(tag)) return after;
    const uint16_t t = traits(tag);
    if (open_.size() >= size_t(HtmlTree::kMaxDepth) && !(t & (kVoid | kRaw))) {
      // Too deep: its text falls to the one above, apart from what came before.
      ++buried_[size_t(tag)];
      if (t & kBlock) add_node(Tag::kBr, {});
      return after;
    }
    const bool foreign = counts_[size_t(Tag::kSvg)] + counts_[size_t(Tag::kMath)] > 0 || tag == Tag::kSvg || tag == Tag::kMath;
    const int32_t node = add_node(tag, tag == Tag::kUnknown ? name : std::string_view{});
    Node& n = tree_.nodes_[size_t(node)];
    n.first_attribute = uint32_t(first_attribute_);
    n.attributes = uint8_t(tree_.attributes_.size() - first_attribute_);
    if ((t & kVoid) || (foreign && closes_itself)) return after;
    if (tag == Tag::kPlaintext) {
      add_node_below(node, page_.substr(after));
      return page_.size();
    }
    if (t & kRaw) return raw_content(node, name, after);
    open_.push_back(node);
    count(tag, 1);
    return after;
  }

  size_t raw_content(int32_t node, std::string_view name, size_t begin) {
    const Tag tag = tree_.nodes_[size_t(node)].tag;
    size_t& none_after = no_raw_end_[size_t(tag)];
    size_t end = page_.npos;
    if (begin < none_after) {
      for (size_t at = page_.find("</", begin); at != page_.npos; at = page_.find("</", at + 2)) {
        const std::string_view rest = page_.substr(at + 2);
        if (rest.size() < name.size() || !same_name(rest.substr(0, name.size()), name)) continue;
        const char c = rest.size() == name.size() ? '>' : rest[name.size()];
        if (!is_blank(c) && c != '>' && c != '/') continue;
        end = at;
        break;
      }
      if (end == page_.npos) none_after = begin;
    }
    // What never ends: a script or style is the rest of a page that was cut; of a title or textarea, the line.
    if (end == page_.npos) {
      if (tag == Tag::kScript || tag == Tag::kStyle || tag == Tag::kXmp) {
        end = page_.size();
      } else {
        end = std::min(page_.find_first_of("<\n", begin), page_.size());
        tree_.nodes_[size_t(node)].text = page_.substr(begin, end - begin);
        return end;
      }
    }
    tree_.nodes_[size_t(node)].text = page_.substr(begin, end - begin);
    if (tag == Tag::kXmp) add_node_below(node, page_.substr(begin, end - begin));
    return end == page_.size() ? end : after_first('>', end);
  }

  size_t end_tag(size_t lt, size_t text) {
    const std::string_view name = name_at(lt + 2);
    std::array<char, kLongestName> buffer;
    const std::string_view low = lowered(name, buffer);
    add_text(text, lt);
    size_t after = lt + 2 + name.size();
    while (after < page_.size() && page_[after] != '>' && page_[after] != '<') ++after;
    if (after < page_.size() && page_[after] == '>') ++after;
    const TagRow* row = tag_row(low);
    if (!row && std::binary_search(std::begin(kTransparent), std::end(kTransparent), low)) return after;
    const Tag tag = row ? row->tag : Tag::kUnknown;
    if (tag == Tag::kBr) {
      add_node(Tag::kBr, {});
      return after;
    }
    if (tag == Tag::kBody || tag == Tag::kHtml) return after;  // what comes behind belongs to the body
    if (buried_[size_t(tag)] > 0) {
      --buried_[size_t(tag)];
      if (traits(tag) & kBlock) add_node(Tag::kBr, {});
      return after;
    }
    if (counts_[size_t(tag)] == 0 && !is_heading(tag)) return after;
    close(tag, name);
    return after;
  }

  // Ends the open element that an end tag names, if it reaches one.
  void close(Tag tag, std::string_view name) {
    const uint16_t t = traits(tag);
    for (size_t i = open_.size() - 1; i > 0; --i) {
      const Node& n = tree_.nodes_[size_t(open_[i])];
      const bool same =
          tag == Tag::kUnknown ? n.tag == tag && same_name(n.text, name) : n.tag == tag || (is_heading(tag) && is_heading(n.tag));
      if (same) return pop_to(i);
      const uint16_t nt = traits(n.tag);
      if (tag == Tag::kTable || is_section_of_table(tag) || tag == Tag::kTr || is_cell(tag) || tag == Tag::kCaption) {
        if (n.tag == Tag::kTable) return;
      } else if ((nt & kScope) || (!(t & kSpecial) && !(t & kSkipped) && (nt & kSpecial))) {
        return;
      } else if (tag == Tag::kLi && (n.tag == Tag::kUl || n.tag == Tag::kOl)) {
        return;
      }
    }
  }

  // Ends what the start of `tag` ends. False if the tag is ignored.
  bool make_place(Tag tag) {
    const uint16_t t = traits(tag);
    if (tag == Tag::kHead) {
      if (seen_head_ || seen_body_) return false;
      seen_head_ = true;
      return true;
    }
    if (tag == Tag::kBody) {
      if (seen_body_) return false;
      seen_body_ = true;
      pop_to(1);
      return true;
    }
    if (counts_[size_t(Tag::kHead)] > 0 && !(t & kHeadOnly) && counts_[size_t(Tag::kNoscript)] + counts_[size_t(Tag::kTemplate)] == 0)
      pop_to(1);
    if (counts_[size_t(Tag::kSvg)] + counts_[size_t(Tag::kMath)] > 0 &&
        ((t & kClosesP) || tag == Tag::kSpan || tag == Tag::kImg || tag == Tag::kBr)) {
      // HTML inside a drawing ends the drawing.
      for (size_t i = open_.size() - 1; i > 0; --i)
        if (const Tag o = tree_.nodes_[size_t(open_[i])].tag; o == Tag::kSvg || o == Tag::kMath) {
          pop_to(i);
          break;
        }
    }
    if ((t & kClosesP) && counts_[size_t(Tag::kP)] > 0) close_p();
    if (is_heading(tag) && is_heading(top().tag)) pop_to(open_.size() - 1);
    if (tag == Tag::kLi || tag == Tag::kDd || tag == Tag::kDt) close_item(tag);
    if (tag == Tag::kA && counts_[size_t(Tag::kA)] > 0) close_inline(Tag::kA);
    if (tag == Tag::kButton && counts_[size_t(Tag::kButton)] > 0) close(Tag::kButton, {});
    if (tag == Tag::kForm && counts_[size_t(Tag::kForm)] > 0) return false;
    if ((tag == Tag::kOption || tag == Tag::kOptgroup) && top().tag == Tag::kOption) pop_to(open_.size() - 1);
    if ((tag == Tag::kSelect || tag == Tag::kInput || tag == Tag::kTextarea) && counts_[size_t(Tag::kSelect)] > 0) close(Tag::kSelect, {});
    if ((tag == Tag::kRt || tag == Tag::kRp) && (top().tag == Tag::kRt || top().tag == Tag::kRp)) pop_to(open_.size() - 1);
    if (tag == Tag::kTable || is_section_of_table(tag) || tag == Tag::kTr || is_cell(tag) || tag == Tag::kCaption || tag == Tag::kColgroup)
      close_in_table(tag);
    return true;
  }

  void close_p() {
    for (size_t i = open_.size() - 1; i > 0; --i) {
      const Tag o = tree_.nodes_[size_t(open_[i])].tag;
      if (o == Tag::kP) return pop_to(i);
      if (traits(o) & kScope) return;
    }
  }

  void close_item(Tag tag) {
    for (size_t i = open_.size() - 1; i > 0; --i) {
      const Tag o = tree_.nodes_[size_t(open_[i])].tag;
      if (tag == Tag::kLi ? o == Tag::kLi : o == Tag::kDd || o == Tag::kDt) return pop_to(i);
      if ((traits(o) & kSpecial) && o != Tag::kAddress && o != Tag::kDiv && o != Tag::kP) return;
    }
  }

  void close_inline(Tag tag) {
    for (size_t i = open_.size() - 1; i > 0; --i) {
      const Tag o = tree_.nodes_[size_t(open_[i])].tag;
      if (o == tag) return pop_to(i);
      if (traits(o) & kSpecial) return;
    }
  }

  void close_in_table(Tag tag) {
    if (counts_[size_t(Tag::kTable)] == 0) return;
    for (size_t i = open_.size() - 1; i > 0; --i) {
      const Tag o = tree_.nodes_[size_t(open_[i])].tag;
      if (o == Tag::kTable) {
        // A table inside a table, but in no cell of it, is the next table.
        if (tag == Tag::kTable) {
          pop_to(i);
        } else {
          pop_to(i + 1);
        }
        return;
      }
      if (tag == Tag::kTable ? is_cell(o) || o == Tag::kCaption || (traits(o) & kScope) : (is_cell(tag) && o == Tag::kTr)) {
        if (tag != Tag::kTable) pop_to(i + 1);
        return;
      }
      if (tag == Tag::kTr && is_section_of_table(o)) return pop_to(i + 1);
    }
  }

  const Node& top() const { return tree_.nodes_[size_t(open_.back())]; }
  void count(Tag tag, int by) { counts_[size_t(tag)] += by; }

  // Ends open_[i] and all above it.
  void pop_to(size_t i) {
    while (open_.size() > i && open_.size() > 1) {
      Node& n = tree_.nodes_[size_t(open_.back())];
      n.end = uint32_t(tree_.nodes_.size());
      count(n.tag, -1);
      open_.pop_back();
    }
  }

  int32_t add_node(Tag tag, std::string_view text) {
    const int32_t parent = open_.back();
    const int32_t node = int32_t(tree_.nodes_.size());
    Node n;
    n.tag = tag;
    n.parent = parent;
    n.text = text;
    n.depth = uint16_t(open_.size());
    n.end = uint32_t(node) + 1;
    tree_.nodes_.push_back(n);
    Node& p = tree_.nodes_[size_t(parent)];
    if (p.last >= 0) {
      tree_.nodes_[size_t(p.last)].next = node;
    } else {
      p.first = node;
    }
    p.last = node;
    return node;
  }

  void add_node_below(int32_t node, std::string_view text) {
    open_.push_back(node);
    add_node(Tag::kText, text);
    tree_.nodes_[size_t(node)].end = uint32_t(tree_.nodes_.size());
    open_.pop_back();
  }

  void add_text(size_t begin, size_t end) {
    if (begin >= end) return;
    const std::string_view text = page_.substr(begin, end - begin);
    if (!seen_body_ && (counts_[size_t(Tag::kHead)] > 0 || open_.size() == 1)) {
      if (all_blank(text)) return;
      // Text ends the head, unless it is that of a noscript or template in it.
      if (counts_[size_t(Tag::kHead)] > 0 && counts_[size_t(Tag::kNoscript)] + counts_[size_t(Tag::kTemplate)] == 0) pop_to(1);
    }
    add_node(Tag::kText, text);
  }

  std::string_view page_;
  HtmlTree& tree_;
  size_t at_ = 0, first_attribute_ = 0;
  std::vector<int32_t> open_;
  std::array<int32_t, size_t(Tag::kCount)> counts_{}, buried_{};
  bool seen_head_ = false, seen_body_ = false;
  // From here on there is none in the page: nothing is looked for twice.
  size_t no_comment_end_ = std::string_view::npos, no_double_quote_ = std::string_view::npos, no_single_quote_ = std::string_view::npos;
  std::array<size_t, size_t(Tag::kCount)> no_raw_end_ = [] {
    std::array<size_t, size_t(Tag::kCount)> all;
    all.fill(std::string_view::npos);
    return all;
  }();
};

HtmlTree::HtmlTree(std::string_view page) {
  HtmlParser(page.substr(0, UINT32_MAX), *this).run();
}

}  // namespace r1::corpus
