// Limits that the kernel keeps for each process. Set in the child that becomes the program, so that neither the host nor bubblewrap feels
// them.
#pragma once

#include <vector>

#include "r1/verify/sandbox/sandbox.h"
#include "r1/verify/sandbox/setup_format.h"

namespace r1::verify::sandbox {

// `memory_cgroup`: memory is counted elsewhere; without it each process may have `memory_bytes` of data and the stack stays small.
std::vector<r1_rlimit> rlimits(const Limits& limits, bool memory_cgroup);

}  // namespace r1::verify::sandbox
