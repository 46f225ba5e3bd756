// Is it text?
#pragma once

#include <string_view>

namespace r1 {

// All of it is valid UTF-8: no overlong form, no surrogate, no cut sequence.
bool is_utf8(std::string_view bytes);

}  // namespace r1
