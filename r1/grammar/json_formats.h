// The formats of strings that a schema may ask for, as patterns of the whole text.
#pragma once

#include <string_view>

namespace r1::grammar {

// Null if there is none by that name.
const char* format_pattern(std::string_view format);
// A format that JSON Schema defines (and so constrains), supported or not; any other name is a remark.
bool is_known_format(std::string_view format);

}  // namespace r1::grammar
