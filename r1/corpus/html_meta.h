// What a page says about itself: JSON-LD, then OpenGraph and article tags, then plain <meta>, <link> and the markup.
#pragma once

#include <string>

#include "r1/corpus/html.h"
#include "r1/corpus/html_tree.h"

namespace r1::corpus {

// Fills title, author, date, language, url, licence, site, description. Returns the text that the page states in JSON-LD
// ("articleBody"), or "".
std::string read_metadata(const HtmlTree& tree, HtmlPage& page);

}  // namespace r1::corpus
