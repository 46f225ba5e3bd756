// Texts as characters of UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace r1::api {

bool is_utf8(std::string_view text);
// At most `most` bytes from the front, no character cut in two.
std::string_view first_bytes(std::string_view text, size_t most);

}  // namespace r1::api
