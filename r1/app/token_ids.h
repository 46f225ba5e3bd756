// Token ids on the command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace r1::app {

// "1,2,3" or "[1, 2, 3]"; usage errors name --ids. Each must be below `vocab`.
std::vector<int64_t> parse_ids(const std::string& list, int64_t vocab);

}  // namespace r1::app
