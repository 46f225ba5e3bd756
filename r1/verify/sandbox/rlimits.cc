#include "r1/verify/sandbox/rlimits.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <fstream>

namespace r1::verify::sandbox {
namespace {

// Cores go to a file, which 0 forbids, or to a program of the host, which only a limit of 1 keeps from starting (core(5)).
uint64_t core_limit() {
  std::ifstream in("/proc/sys/kernel/core_pattern");
  return in.peek() == '|' ? 1 : 0;
}

r1_rlimit row(int resource, uint64_t soft, uint64_t hard) {
  return {uint64_t(resource), soft, hard};
}
r1_rlimit row(int resource, uint64_t both) {
  return row(resource, both, both);
}

}  // namespace

std::vector<r1_rlimit> rlimits(const Limits& limits, bool memory_cgroup) {
  constexpr uint64_t kMiB = 1 << 20;
  const auto memory = uint64_t(limits.memory_bytes);
  const auto cpu = uint64_t(std::max(1.0, std::ceil(limits.cpu_seconds)));
  // A thread's stack is reserved at the soft limit's size: without a cgroup that counts as data.
  const uint64_t stack = memory_cgroup ? std::clamp(memory / 4, 8 * kMiB, 64 * kMiB) : 8 * kMiB;
  std::vector<r1_rlimit> rows = {
      row(RLIMIT_CPU, cpu, cpu + 1),                      // SIGXCPU, then SIGKILL
      row(RLIMIT_FSIZE, uint64_t(limits.disk_bytes)),     // of one file; the file systems bound the sum
      row(RLIMIT_NPROC, uint64_t(limits.processes) + 1),  // pid 1 counts
      row(RLIMIT_CORE, core_limit()),
      row(RLIMIT_NOFILE, uint64_t(limits.open_files)),
      row(RLIMIT_STACK, stack, std::max(stack, memory)),
      row(RLIMIT_MEMLOCK, kMiB),
      row(RLIMIT_RTPRIO, 0),
      row(RLIMIT_NICE, 0),
      row(RLIMIT_MSGQUEUE, 0),
      row(RLIMIT_SIGPENDING, 1024),
  };
  if (!memory_cgroup) rows.push_back(row(RLIMIT_DATA, memory));
  return rows;
}

}  // namespace r1::verify::sandbox
