// Character references of HTML: &amp; &#233; &#xE9; and the two thousand names, with or without ';' as the standard allows.
#pragma once

#include <string>
#include <string_view>

namespace r1::corpus {

// Appends the text with its references resolved. In an attribute, a name without ';' before '=' or a letter or digit stays as it is
// ("?a=1&copy=2"). Numbers that are no character become U+FFFD, 0x80..0x9F what windows-1252 has there.
void append_unescaped(std::string& out, std::string_view text, bool attribute = false);
std::string unescaped(std::string_view text, bool attribute = false);

}  // namespace r1::corpus
