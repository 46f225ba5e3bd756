// Character references of HTML: &amp; &#233; &#xE9; and the two thousand names, with or without ';' as the standard allows.
#pragma once

#include <string>
#include <string_view>

namespace r1::corpus {

// Which references count. In an attribute a name without ';' before '=' or a letter or digit is none ("?a=1&copy=2"); kClosed: only those with
// their ';', as wikis and books have them; kXml: of these XML's five names and the numbers.
enum class References { kText, kAttribute, kClosed, kXml };

// The text with its references resolved, appended or by itself. Numbers that are no character become U+FFFD, 0x80..0x9F what windows-1252 has
// there. What is no reference stays as it is.
void append_unescaped(std::string& out, std::string_view text, References which = References::kText);
std::string unescaped(std::string_view text, References which = References::kText);

}  // namespace r1::corpus
