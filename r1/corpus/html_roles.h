// What an element's tag, role, class and id say about its part in the page: navigation, comments, hidden, main text, ... Words of the trade
// ("sidebar", "breadcrumbs", "entry-content"), not of any one site; whether they are believed is decided with the text's weight in hand
// (html_content.h).
#pragma once

#include <cstdint>

#include "r1/corpus/html_tree.h"

namespace r1::corpus {

enum Role : uint8_t {
  kHiddenRole = 1,   // not shown, or not text: hidden, aria-hidden, display:none, scripts, buttons, dialogs
  kAroundRole = 2,   // navigation, headers and footers of the page, sharing, related pages, advertising, forms
  kCommentRole = 4,  // what readers wrote below
  kMainRole = 8,     // says that it is the text
  kMetaRole = 16,    // about the text: byline, date, tags, caption credits
  kLineNumber = 32,  // the numbers beside a listing
};

uint8_t roles_of(const HtmlTree& tree, int32_t node);

}  // namespace r1::corpus
