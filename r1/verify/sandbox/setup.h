// Writes the launcher's setup file (setup_format.h).
#pragma once

#include <string>
#include <vector>

#include "r1/verify/sandbox/cgroup.h"
#include "r1/verify/sandbox/machine.h"
#include "r1/verify/sandbox/sandbox.h"

namespace r1::verify::sandbox {

// Throws (kFailed) for a program that cannot be: no argv, a file outside /box, limits that are none.
void check_program(const Program& program, const Limits& limits);

std::string setup_bytes(const Machine& machine, const Layers& layers, const Program& program, const Limits& limits, const Cgroup* cgroup);

}  // namespace r1::verify::sandbox
