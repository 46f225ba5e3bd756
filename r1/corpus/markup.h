// HTML and XHTML to plain text, for fragments and books: everything that a reader of the page would see, in order. (What is the main text of
// a web page is another question: html.h.) No tree is built: nesting costs nothing, and what is broken is read as well as it can be.
//
// Blocks stand on lines of their own with an empty line between paragraphs; items begin with "- " (or "1. "), <pre> becomes a fenced block,
// <code> stands in backticks, cells of a table row are separated by tabs. Left out: scripts, styles, comments, images but for their alt text.
#pragma once

#include <string>
#include <string_view>

namespace r1::corpus {

std::string text_of_markup(std::string_view markup);

// The first <title>, decoded and on one line; "" if there is none.
std::string title_of_markup(std::string_view markup);

}  // namespace r1::corpus
