// Text repaired and brought to one form, without change of what it says:
//   Unicode: UTF-8 that was read as windows-1252 or latin-1 (once or more often) is read again ("Ã©" to "é"); NFC; line ends as \n; control
//   characters, soft hyphens, byte order marks, zero-width and direction marks out (joiners stay between letters beyond ASCII, where scripts
//   and emoji need them; tags stay in flags); runs of U+FFFD as one.
//   Lines: those of the page around a text (boilerplate.h), and menus: words between bars, and groups of short lines that come again.
//   Blanks: none at a line's end, one between words (not in code: indented lines and those between ``` keep all), at most one empty line.
// The repair of encodings follows what ftfy documents of itself (https://ftfy.readthedocs.io); quotes, ligatures and widths stay as they are.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "r1/corpus/stage.h"

namespace r1::corpus {

struct CleanOptions {
  bool unicode = true, lines = true, blanks = true;
};

// Any bytes; valid UTF-8 comes back.
std::string repair_unicode(std::string_view text);
// Only the second reading of what was read wrongly; `text` is valid UTF-8.
std::string repair_mojibake(std::string_view text);
// `text` has \n for line ends.
std::string without_boilerplate(std::string_view text);
std::string with_normal_blanks(std::string_view text);

// Of source code (kind "code") only the Unicode is repaired.
// Drops a document of which nothing is left ("empty"); marks one that changed with "clean".
std::unique_ptr<Filter> clean_filter(CleanOptions options = {});

}  // namespace r1::corpus
