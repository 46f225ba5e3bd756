// bubblewrap's command line: fresh user, pid, net, ipc, mount, uts and cgroup namespaces; the system's programs read-only; one tmpfs for
// all that the program may write; nothing else of the host.
#pragma once

#include <string>
#include <vector>

#include "r1/verify/sandbox/machine.h"
#include "r1/verify/sandbox/sandbox.h"

namespace r1::verify::sandbox {

std::string find_bubblewrap();  // in PATH; "": none

// /usr, /bin and /lib*, pieces of /etc, /dev: looked up on this host once. Rules: what Landlock lets the program touch of it.
std::vector<std::string> system_arguments(std::vector<LandlockRule>& rules);

// The whole command line up to and including the launcher. `staged`: mounts[i] has been laid out as R1_STAGE/i.
std::vector<std::string> bubblewrap_arguments(const Machine& machine, const Layers& layers, const Program& program, const Limits& limits,
                                              bool staged);

}  // namespace r1::verify::sandbox
