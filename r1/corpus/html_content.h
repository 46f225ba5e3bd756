// Where a page's text is. Every block (a paragraph, heading, cell, or the text directly in a <div>) has a weight: its characters, those of
// scripts without blanks counting double; its mass is what of it reads like prose or code: not links, not fragments. Then
//   1. what is not shown is dropped;
//   2. what calls itself navigation, sharing, comments, ... is dropped, unless it holds the greater part of the mass (names lie);
//   3. from <body> down, the element that still holds nearly all of the mass is the content;
//   4. inside it, groups that are links for the most part are dropped (html_text.h writes the rest).
#pragma once

#include <cstdint>
#include <vector>

#include "r1/corpus/html.h"
#include "r1/corpus/html_tree.h"

namespace r1::corpus {

class HtmlContent {
 public:
  HtmlContent(const HtmlTree& tree, const HtmlOptions& options);

  int32_t root() const { return root_; }  // of the text
  bool dropped(int32_t node) const { return dropped_[size_t(node)]; }
  // Readers' comments outside the text, in order; none unless they are asked for.
  const std::vector<int32_t>& comments() const { return comments_; }
  float weight(int32_t node) const { return weight_[size_t(node)]; }  // of all text below that is not dropped
  float links(int32_t node) const { return links_[size_t(node)]; }    // the part of it in links
  float mass(int32_t node) const { return mass_[size_t(node)]; }

 private:
  void weigh_text(const HtmlTree& tree);
  void weigh(const HtmlTree& tree);
  void drop_around(const HtmlTree& tree);
  void choose_root(const HtmlTree& tree);
  void take_lead(const HtmlTree& tree);
  void drop_link_groups(const HtmlTree& tree);
  void drop(const HtmlTree& tree, int32_t node);
  void take_comments(const HtmlTree& tree, const std::vector<char>& hidden);

  int32_t root_ = 0;
  std::vector<uint8_t> roles_;
  std::vector<int32_t> comments_;
  std::vector<char> dropped_;
  // Of each node's own text: characters, of them in links, sentence ends and commas.
  std::vector<float> own_, own_links_;
  std::vector<uint16_t> own_marks_;
  std::vector<float> weight_, links_, mass_;
};

// Characters of a text with its references unresolved; of scripts without blanks between words, two each.
float weight_of(std::string_view text);

}  // namespace r1::corpus
