// Small things with text that every floor needs.
#pragma once

#include <string>
#include <string_view>

namespace r1 {

// Without the blanks (space, \t, \n, \v, \f, \r) at both ends; the view is into `text`.
std::string_view trim(std::string_view text);

// A piece of somebody's file as an error message quotes it: cut at a character's end to about `bytes`, with the cut marked.
std::string excerpt(std::string_view text, size_t bytes = 80);

}  // namespace r1
