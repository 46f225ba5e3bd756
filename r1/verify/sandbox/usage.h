// What a tree of processes uses, read from /proc: for machines where no control group counts it. Slower (a few files a process) and less
// exact: children whose parent ignored them are not in anybody's sum.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace r1::verify::sandbox {

struct Usage {
  double cpu_seconds = 0;
  int64_t memory_bytes = 0;   // resident; what processes share is counted once each, so it is an upper bound
  double waited_seconds = 0;  // ready to run, without a CPU: of the process that waited longest (its first thread, as schedstat has it)
};
Usage usage_below(pid_t root);  // without `root` itself and its child (supervisor and bubblewrap)

}  // namespace r1::verify::sandbox
