// Bytes in any encoding to UTF-8: what is declared (an HTTP header, <meta>, XML's declaration, MIME), else UTF-8 if the bytes are, else
// windows-1252. Names are those of the WHATWG Encoding Standard (https://encoding.spec.whatwg.org), so "latin1" is windows-1252, as browsers
// have it; a name outside of it (and of cp437 and cp850, which mail has) counts as
// none. What cannot be decoded becomes U+FFFD.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "r1/base/is_utf8.h"

namespace r1::corpus {

// The encoding's own name ("windows-1252", "gb18030") of a label in any case, such as " ISO_8859-1 "; "" if there is none.
std::string encoding_of(std::string_view label);

// The character that windows-1252, as browsers have it, has at `byte`. Numbers from 128 to 159 in HTML's references mean it too.
uint32_t of_windows_1252(uint8_t byte);

// Valid UTF-8 without a byte order mark of what is known to be in the encoding of that label (none: UTF-8). An error where this system cannot.
std::string decode(std::string_view bytes, std::string_view label);

// A byte order mark wins over what is declared. Bytes that are declared as UTF-8 and are not: a few bad places become U+FFFD, many mean that
// the declaration is wrong. An error where this system cannot decode what is declared.
std::string to_utf8(std::string_view bytes, std::string_view declared = "");

// What a web page is in: a byte order mark, then `declared` (of a transport header; may be empty), then what it says itself; else utf-8 if the
// bytes are that, else windows-1252. Bytes that are valid UTF-8 with at least four characters beyond ASCII are UTF-8 whatever was declared: pages
// that lie about this are common, and legacy text that looks so is not.
std::string encoding_of_page(std::string_view bytes, std::string_view declared = "");

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
