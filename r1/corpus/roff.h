// Manual pages (man and mdoc macros of roff) to plain text: headings, paragraphs, examples as they stand. Not a typesetter: tables and equations
// (tbl, eqn), conditions and macros that a page defines are passed over.
#pragma once

#include <string>
#include <string_view>

namespace r1::corpus {

// `title` gets "ls(1)" of .TH or .Dt.
std::string text_of_roff(std::string_view roff, std::string& title);

// Does it look like one: a line that begins with .TH, .Dd or .Dt among the first ones?
bool is_man_page(std::string_view head);

}  // namespace r1::corpus
