// Names that nobody guesses or meets twice: of answers, tool calls, stored conversations.
#pragma once

#include <cstddef>
#include <string>

namespace r1::api {

// Letters and digits, from the system's random source.
std::string random_id(size_t length);

}  // namespace r1::api
