// One run: the setup file for the launcher, the pipes, the supervisor, and the loop that reads, feeds, watches and ends it.
#pragma once

#include <memory>

#include "r1/verify/sandbox/machine.h"
#include "r1/verify/sandbox/sandbox.h"

namespace r1::verify::sandbox {

std::unique_ptr<Process> start_process(const Machine& machine, const Layers& layers, const Program& program, const Limits& limits);

}  // namespace r1::verify::sandbox
