#include "r1/base/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <fstream>

namespace r1 {
namespace {

std::atomic<int> chosen{0};

int from_environment(const char* name) {
  const char* text = std::getenv(name);
  return text ? std::atoi(text) : 0;  // OMP_NUM_THREADS may be a list: its first number
}

// cgroup v2: "max 100000" or "200000 100000".
double cgroup_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  return file >> quota >> period && period > 0 ? quota / period : INFINITY;
}

}  // namespace

int usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int allowed = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return std::max(1, int(std::ceil(std::min(double(allowed), cgroup_quota()))));
}

int num_threads() {
  if (const int n = chosen.load(); n > 0) return n;
  if (const int n = from_environment("R1_NUM_THREADS"); n > 0) return n;
  if (const int n = from_environment("OMP_NUM_THREADS"); n > 0) return n;
  static const int cpus = usable_cpus();
  return cpus;
}

void set_num_threads(int n) {
  chosen = std::max(0, n);
}

}  // namespace r1
