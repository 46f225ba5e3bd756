// What the place where text goes can show: how wide it is, and whether its locale has more than ASCII.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace r1 {

// Columns of the terminal that the descriptor is; 80 where there is none, or it does not say.
size_t terminal_columns(int descriptor);

// Does the locale's encoding hold our bars and plots? By LC_ALL, LC_CTYPE and LANG, the first that is set, as POSIX has it; with none set
// the locale is C, and the answer no.
bool utf8_locale();

// Code points of UTF-8 text: the columns it takes where each character is one wide, as all of ours are.
size_t columns_of(std::string_view text);

// The first `columns` columns of the text, cut between words where there is a blank to cut at.
std::string cut_words(const std::string& text, size_t columns);

// The text with lines of at most `columns`, broken at blanks only: a word longer than a line stays whole. A continued line is indented to
// where the line's second column of text begins (after a gap of two blanks and more, as in lists of options), or as its line is.
std::string wrapped(const std::string& text, size_t columns);

}  // namespace r1
