// The main text of a web page, and what the page says about itself.
//
// The text is what a reader came for: paragraphs, headings, lists, tables, code and formulas in their order, without navigation, sharing,
// related pages, advertising, forms and (unless asked for) readers' comments. It is chosen by rules for any page (html_content.h), not by
// site: where text is dense and links are sparse, what repeats, what the markup says of itself. Nothing in a page stops the program:
// broken markup, nesting without end, bytes that are no text are read as well as they can be, in time linear in their number.
//
// Form of the text: paragraphs a blank line apart; lists as "- " and "1. ", two blanks deeper a level; tables of data as Markdown's, tables
// that only lay out as their cells; listings between ``` lines with their language; TeX of formulas between $.
#pragma once

#include <string>
#include <string_view>

#include "r1/corpus/document.h"

namespace r1::corpus {

struct HtmlOptions {
  bool tables = true, code = true, lists = true;  // false: left out of the text
  bool links = false;                             // true: [text](address); false: their text alone
  bool comments = false;                          // true: readers' comments too
  std::string charset;                            // of a transport header, if one was seen
};

struct HtmlPage {
  std::string text;  // "" if the page has none; ends without a line end
  std::string title, author, date, language, url, licence, site, description;
  std::string charset;  // what the bytes were read as
  bool cut = false;     // the page had more nodes than HtmlTree::kMaxNodes
};

HtmlPage read_html(std::string_view bytes, const HtmlOptions& options = {});

// Sets text, title, author, date, language, licence of `document` from the page, and its url where the document has none; the site and the
// description go to `extra`.
void read_html_into(Document& document, std::string_view bytes, const HtmlOptions& options = {});

}  // namespace r1::corpus
