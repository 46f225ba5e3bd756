// Commands that other programs have: what r1 calls them, or that there is no such thing here yet.
#pragma once

#include <string>
#include <string_view>

namespace r1::app {

// A clause on a command of another program; "" if it is nobody's.
std::string familiar_command(std::string_view name);

}  // namespace r1::app
