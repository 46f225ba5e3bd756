// What this machine has, found by trying, and the files in memory that every run shares. One for the process, never changed after.
#pragma once

#include <string>
#include <vector>

#include "r1/verify/sandbox/cgroup.h"
#include "r1/verify/sandbox/fd.h"
#include "r1/verify/sandbox/landlock.h"
#include "r1/verify/sandbox/sandbox.h"

namespace r1::verify::sandbox {

// Which layers a run gets, and the variants within bubblewrap that this machine allows.
struct Layers {
  bool seccomp = false, cgroup = false, landlock = false;
  bool disable_userns = false, proc = false;
  bool probe = false;  // the launcher itself is the program
};

struct Machine {
  std::string bubblewrap;  // path; empty: not found
  uint32_t uid = 0;        // whom bubblewrap runs as; R1_NO_UID: as we do
  int landlock = 0;        // ABI
  CgroupTrees cgroups;
  Fd launcher, filter, passwd, group, hosts;
  std::vector<std::string> system;  // bubblewrap's arguments for /usr, /etc, /dev: the same for every run
  std::vector<LandlockRule> rules;  // likewise
  Layers layers;                    // all that works here
  std::vector<LayerState> states;
};

const Machine& machine();

}  // namespace r1::verify::sandbox
