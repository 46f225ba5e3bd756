// Bytes in any encoding to UTF-8: what is declared (an HTTP header, <meta>, XML's declaration, MIME), else UTF-8 if the bytes are, else
// windows-1252. Names are those of the WHATWG Encoding Standard (https://encoding.spec.whatwg.org), so "latin1" is windows-1252, as browsers
// have it; a name outside of it (and of cp437 and cp850, which mail has) counts as
// none. What cannot be decoded becomes U+FFFD.
#pragma once

#include <string>
#include <string_view>

namespace r1::corpus {

bool is_utf8(std::string_view bytes);

// The encoding's own name ("windows-1252", "GB18030") of a label in any case; "" if there is none.
std::string encoding_of(std::string_view label);

// A byte order mark wins over what is declared. Bytes that are declared as UTF-8 and are not: a few bad places become U+FFFD, many mean that
// the declaration is wrong. An error where this system cannot decode what is declared.
std::string to_utf8(std::string_view bytes, std::string_view declared = "");

// Without a byte order mark. A lone surrogate becomes U+FFFD and does not end the text; a last odd byte is left out.
std::string utf8_of_utf16(std::string_view bytes, bool big_endian);

// charset=... of a Content-Type; the <meta> of a page or the declaration of an XML file, within its first kilobytes. "" if there is none.
std::string charset_of_content_type(std::string_view value);
std::string charset_of_markup(std::string_view bytes);

// \r\n and \r as \n.
std::string with_plain_line_ends(std::string text);

// Bytes that are no text in any encoding known here: zeros and control characters among the first 64 KiB.
bool is_binary(std::string_view bytes);

}  // namespace r1::corpus
