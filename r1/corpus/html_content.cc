#include "r1/corpus/html_content.h"

#include <algorithm>

#include "r1/corpus/html_roles.h"

namespace r1::corpus {
namespace {

struct TextShape {
  float weight = 0;
  int marks = 0;  // ends of sentences and commas
};

TextShape shape_of(std::string_view text) {
  TextShape shape;
  size_t narrow = 0, wide = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const uint8_t c = uint8_t(text[i]);
    if (c <= 0x20) continue;
    if (c < 0x80) {
      ++narrow;
      if (c == '.' || c == ',' || c == '!' || c == '?' || c == ';' || c == ':') {
        // Inside a number or an address it marks nothing.
        if (i + 1 == text.size() || uint8_t(text[i + 1]) <= 0x20 || text[i + 1] == '"' || uint8_t(text[i + 1]) >= 0x80) ++shape.marks;
      }
    } else if (c >= 0xC0 && c < 0xE0) {
      ++narrow;
    } else if (c >= 0xE0) {
      // CJK and its punctuation are E3..E9, EF; Hangul EA..ED; the rest of three bytes (Indic, dashes, quotes) E0..E2.
      if (c >= 0xE3) {
        ++wide;
      } else {
        ++narrow;
      }
      if (i + 2 < text.size()) {
        const uint8_t b = uint8_t(text[i + 1]), d = uint8_t(text[i + 2]);
        if (c == 0xE3 && b == 0x80 && (d == 0x81 || d == 0x82)) ++shape.marks;                                         // 、。
        if (c == 0xEF && b == 0xBC && (d == 0x81 || d == 0x8C || d == 0x9F || d == 0x9A || d == 0x9B)) ++shape.marks;  // ！，？：；
        if (c == 0xE0 && b == 0xA5 && (d == 0xA4 || d == 0xA5)) ++shape.marks;                                         // danda
      }
    }
  }
  shape.weight = float(narrow) + 2 * float(wide);
  return shape;
}

bool is_heading(Tag t) {
  return t >= Tag::kH1 && t <= Tag::kH6;
}

// Inline elements make no block; their text is their block's.
bool is_block(Tag t) {
  return traits(t) & kBlock;
}

// What of a block reads like prose or code.
float mass_of_block(Tag tag, float weight, float links, int marks) {
  if (weight <= 0 || is_heading(tag)) return 0;
  const float free = weight - links;
  if (tag == Tag::kPre || tag == Tag::kListing || tag == Tag::kXmp) return free;
  if (links > 0.6F * weight) return 0;
  if (tag == Tag::kTd || tag == Tag::kTh) return free < 80 ? 0.3F * free : free;
  if (marks == 0 && free < 60) return 0;
  if (free < 80 && marks < 2) return 0.3F * free;
  return free;
}

}  // namespace

float weight_of(std::string_view text) {
  return shape_of(text).weight;
}

HtmlContent::HtmlContent(const HtmlTree& tree, const HtmlOptions& options) {
  const size_t n = size_t(tree.size());
  roles_.assign(n, 0);
  dropped_.assign(n, 0);
  own_.assign(n, 0);
  own_links_.assign(n, 0);
  own_marks_.assign(n, 0);
  for (int32_t i = 0; i < tree.size(); ++i) {
    if (tree[i].tag == Tag::kText) continue;
    roles_[size_t(i)] = roles_of(tree, i);
  }
  weigh_text(tree);
  weigh(tree);
  const std::vector<char> hidden = dropped_;
  drop_around(tree);
  weigh(tree);
  choose_root(tree);
  take_lead(tree);
  drop_link_groups(tree);
  if (options.comments) take_comments(tree, hidden);
}

// Comments were set aside while the text was chosen; now they come back, in the text or behind it.
void HtmlContent::take_comments(const HtmlTree& tree, const std::vector<char>& hidden) {
  for (int32_t i = 0; i < tree.size();) {
    const size_t k = size_t(i);
    if (hidden[k] || !dropped_[k] || !(roles_[k] & kCommentRole)) {
      ++i;
      continue;
    }
    std::copy(hidden.begin() + i, hidden.begin() + ptrdiff_t(tree[i].end), dropped_.begin() + i);
    if (i < root_ || i >= int32_t(tree[root_].end)) {
      comments_.push_back(i);
    } else {
      // What stands around them in the text comes back too.
      for (int32_t up = tree[i].parent; up > root_; up = tree[up].parent) dropped_[size_t(up)] = 0;
    }
    i = int32_t(tree[i].end);
  }
}

// Texts go to their blocks; what is hidden weighs nothing.
void HtmlContent::weigh_text(const HtmlTree& tree) {
  const size_t n = size_t(tree.size());
  std::vector<int32_t> block(n, 0);
  std::vector<char> in_link(n, 0);
  for (int32_t i = 0; i < tree.size(); ++i) {
    const Node& node = tree[i];
    const size_t k = size_t(i);
    if (node.parent >= 0) {
      const size_t p = size_t(node.parent);
      block[k] = is_block(node.tag) ? i : block[p];
      in_link[k] = in_link[p] || (node.tag == Tag::kA && tree.has_attribute(i, Attr::kHref));
      dropped_[k] = dropped_[p];
    }
    if (node.tag == Tag::kHead || (roles_[k] & (kHiddenRole | kLineNumber) && node.tag != Tag::kBody && node.tag != Tag::kHtml))
      dropped_[k] = 1;
    if (node.tag == Tag::kMath) dropped_[k] = dropped_[size_t(node.parent)];
    if (node.tag != Tag::kText || dropped_[k]) continue;
    const TextShape shape = shape_of(node.text);
    const size_t b = size_t(block[k]);
    own_[b] += shape.weight;
    if (in_link[k]) own_links_[b] += shape.weight;
    if (!in_link[k]) own_marks_[b] = uint16_t(std::min(own_marks_[b] + shape.marks, 60000));
  }
}

// Sums over what is not dropped.
void HtmlContent::weigh(const HtmlTree& tree) {
  weight_ = own_;
  links_ = own_links_;
  mass_.assign(own_.size(), 0);
  for (int32_t i = tree.size() - 1; i >= 0; --i) {
    const size_t k = size_t(i);
    if (dropped_[k]) {
      weight_[k] = links_[k] = mass_[k] = 0;
      continue;
    }
    mass_[k] += mass_of_block(tree[i].tag, own_[k], own_links_[k], own_marks_[k]);
    if (const int32_t p = tree[i].parent; p >= 0) {
      weight_[size_t(p)] += weight_[k];
      links_[size_t(p)] += links_[k];
      mass_[size_t(p)] += mass_[k];
    }
  }
}

void HtmlContent::drop_around(const HtmlTree& tree) {
  const float all = mass_[0], all_weight = weight_[0];
  // Comments are more than the text below many a text; but where they are nearly all there is, they are the text.
  float comments = 0;
  for (int32_t i = 0; i < tree.size();) {
    if (!dropped_[size_t(i)] && (roles_[size_t(i)] & kCommentRole)) {
      comments += mass_[size_t(i)];
      i = int32_t(tree[i].end);
    } else {
      ++i;
    }
  }
  const bool drop_comments = all - comments > 300;
  int32_t in_article = -1;  // end of the article or main around node i
  for (int32_t i = 0; i < tree.size();) {
    const size_t k = size_t(i);
    const Node& node = tree[i];
    if (dropped_[k]) {
      i = int32_t(node.end);
      continue;
    }
    if ((node.tag == Tag::kArticle || node.tag == Tag::kMain) && in_article < i) in_article = int32_t(node.end);
    const uint8_t roles = roles_[k];
    bool drop = false;
    if (node.parent > 0 && node.tag != Tag::kBody && node.tag != Tag::kText) {
      const float share = all > 0 ? mass_[k] / all : 0;
      const bool main = roles & kMainRole;
      if ((roles & kAroundRole) && !main) drop = share < 0.3F || (node.tag == Tag::kNav && links_[k] > 0.5F * weight_[k]);
      if ((roles & kMetaRole) && !main) drop |= share < 0.1F;
      if ((roles & kCommentRole) && !main && drop_comments) drop |= true;
      if (node.tag == Tag::kHeader && i >= in_article) drop |= share < 0.2F;
      // A form of its own, not the one that some frameworks put around the page.
      if (node.tag == Tag::kForm || node.tag == Tag::kFieldset) drop |= share < 0.2F && weight_[k] < 0.5F * all_weight;
    }
    if (!drop) {
      ++i;
      continue;
    }
    this->drop(tree, i);
    i = int32_t(node.end);
  }
}

void HtmlContent::choose_root(const HtmlTree& tree) {
  root_ = 0;
  const float all = mass_[0];
  if (all <= 0) return;
  // What says that it is the text, and holds most of it.
  float best = 0.5F * all;
  for (int32_t i = 1; i < tree.size(); ++i) {
    const size_t k = size_t(i);
    if (dropped_[k] || tree[i].tag == Tag::kText) continue;
    if ((roles_[k] & kMainRole || tree[i].tag == Tag::kArticle) && mass_[k] > best) {
      best = mass_[k];
      root_ = i;
    }
  }
  while (true) {
    int32_t heaviest = -1;
    for (int32_t c = tree[root_].first; c >= 0; c = tree[c].next)
      if (!dropped_[size_t(c)] && (heaviest < 0 || mass_[size_t(c)] > mass_[size_t(heaviest)])) heaviest = c;
    if (heaviest < 0 || mass_[size_t(heaviest)] < 0.9F * mass_[size_t(root_)]) break;
    const Tag tag = tree[heaviest].tag;
    // A single paragraph or listing is no content of its own: its heading stands beside it.
    if (tag == Tag::kP || tag == Tag::kPre || tag == Tag::kUl || tag == Tag::kOl || tag == Tag::kTable || tag == Tag::kBlockquote ||
        !is_block(tag))
      break;
    root_ = heaviest;
  }
}

// A text often begins beside its body: a summary or first paragraph in a box of its own. What stands before and reads like prose brings the
// element above in; what small things stand behind are then left out.
void HtmlContent::take_lead(const HtmlTree& tree) {
  for (int level = 0; level < 2 && root_ > 0; ++level) {
    const int32_t parent = tree[root_].parent;
    if (parent <= 0 || tree[parent].tag == Tag::kBody) return;
    bool lead = false;
    for (int32_t c = tree[parent].first; c >= 0 && c != root_; c = tree[c].next) {
      const size_t k = size_t(c);
      lead |= !dropped_[k] && mass_[k] >= 60 && links_[k] < 0.2F * weight_[k];
    }
    if (lead) {
      for (int32_t c = tree[root_].next; c >= 0; c = tree[c].next)
        if (mass_[size_t(c)] < 0.15F * mass_[size_t(root_)]) drop(tree, c);
      root_ = parent;
    } else if (level == 1) {
      return;
    } else {
      // One empty box around the body is allowed.
      const int32_t above = tree[parent].parent;
      if (above <= 0 || mass_[size_t(parent)] > 1.05F * mass_[size_t(root_)]) return;
      bool outer = false;
      for (int32_t c = tree[above].first; c >= 0 && c != parent; c = tree[c].next)
        outer |= !dropped_[size_t(c)] && mass_[size_t(c)] >= 60 && links_[size_t(c)] < 0.2F * weight_[size_t(c)];
      if (!outer) return;
      root_ = parent;
    }
  }
}

void HtmlContent::drop(const HtmlTree& tree, int32_t node) {
  for (uint32_t j = uint32_t(node); j < tree[node].end; ++j) dropped_[j] = 1;
}

void HtmlContent::drop_link_groups(const HtmlTree& tree) {
  for (int32_t i = root_ + 1; i < int32_t(tree[root_].end);) {
    const size_t k = size_t(i);
    const Node& node = tree[i];
    if (dropped_[k]) {
      i = int32_t(node.end);
      continue;
    }
    bool drop = false;
    if (is_block(node.tag) && weight_[k] > 0 && !is_heading(node.tag)) {
      const float density = links_[k] / weight_[k];
      const bool group = node.tag != Tag::kP && node.tag != Tag::kTd && node.tag != Tag::kTh && node.tag != Tag::kLi &&
                         node.tag != Tag::kDd && node.tag != Tag::kDt && node.tag != Tag::kTr;
      drop = group ? density > 0.5F && mass_[k] < 0.3F * weight_[k] && (mass_[k] < 0.2F * mass_[size_t(root_)] || mass_[k] == 0)
                   : density > 0.9F && node.tag == Tag::kP;
    }
    if (drop) {
      this->drop(tree, i);
      i = int32_t(node.end);
    } else {
      ++i;
    }
  }
}

}  // namespace r1::corpus
