// Texts as characters of UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

#include "r1/base/is_utf8.h"

namespace r1::api {

// At most `most` bytes from the front, no character cut in two.
std::string_view first_bytes(std::string_view text, size_t most);

}  // namespace r1::api
