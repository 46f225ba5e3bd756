// Small things with strings that every floor needs.
#pragma once

#include <string>
#include <string_view>

namespace r1 {

// Without the blanks (space, \t, \n, \v, \f, \r) at both ends; the view is into `text`.
std::string_view trim(std::string_view text);

// A to Z as a to z; all other bytes as they are.
std::string lower_ascii(std::string_view text);

}  // namespace r1
