// Bytes of a named or unnamed character set to UTF-8, by the labels and habits of the web: "iso-8859-1" and "ascii" mean windows-1252,
// "gb2312" means gb18030, "shift_jis" means CP932 (WHATWG Encoding). Single-byte western sets are here; all others go through iconv, and
// where the system lacks a table, the text is read as UTF-8 or windows-1252.
#pragma once

#include <string>
#include <string_view>

namespace r1::corpus {

// The canonical name ("utf-8", "windows-1252", "gb18030", ...) of a label such as " ISO_8859-1 "; "" if the label names no charset of the web.
std::string charset_of_label(std::string_view label);

// The charset of a page: a byte order mark, then `declared` (of a transport header; may be empty), then the page's own
// <meta charset> or <?xml encoding> within the first 4096 bytes; else utf-8 if the bytes are that, else windows-1252. Bytes that are valid
// UTF-8 with at least four characters beyond ASCII are UTF-8 whatever was declared: pages that lie about this are common, and legacy text
// that looks so is not.
std::string charset_of_page(std::string_view bytes, std::string_view declared = {});

// Valid UTF-8, without a byte order mark; what the charset does not know becomes U+FFFD.
std::string utf8_of_page(std::string_view bytes, std::string_view charset);

}  // namespace r1::corpus
