// Writes the chosen part of a page as text; the form is html.h's.
#pragma once

#include <string>
#include <string_view>

#include "r1/corpus/html.h"
#include "r1/corpus/html_content.h"
#include "r1/corpus/html_entities.h"
#include "r1/corpus/html_tree.h"

namespace r1::corpus {

// `title` is the page's: a heading that only repeats it is left out at the top, since documents carry it apart.
std::string text_of(const HtmlTree& tree, const HtmlContent& content, const HtmlOptions& options, std::string_view title);

// All text below a node on one line, references resolved, blanks joined; for titles and the like.
std::string plain_text(const HtmlTree& tree, int32_t node);
// `text` with references resolved and every run of blanks as one.
std::string one_line(std::string_view text, References which = References::kText);

}  // namespace r1::corpus
