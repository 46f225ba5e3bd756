// A mail message (RFC 5322, MIME: RFC 2045 to 2049, 2231) to text: the part that a reader would be shown, decoded. Of alternatives the plain one,
// HTML only where there is no other; attachments and other media are left out; messages inside of a message are read too.
#pragma once

#include <string>
#include <string_view>

#include "r1/corpus/document.h"

namespace r1::corpus {

// How deep parts may lie in parts, and how many there may be; what lies deeper or comes later is left out.
inline constexpr int kMaxMimeDepth = 32, kMaxMimeParts = 1000;

struct MailOptions {
  bool quotes = true;  // false: lines of an earlier message (">" in front) are left out
};

// Fills text, title (the subject), author, date and extra {message_id, in_reply_to, list}. Reason, or "" if there is a text.
std::string document_of_mail(std::string_view message, const MailOptions& options, Document& document);

// "=?utf-8?q?Gr=C3=BC=C3=9Fe?=" and plain text beside it, as UTF-8.
std::string decode_words(std::string_view value);

std::string decode_base64(std::string_view text);                                    // what is no base64 is passed over
std::string decode_quoted_printable(std::string_view text, bool in_header = false);  // what is no escape stays

}  // namespace r1::corpus
