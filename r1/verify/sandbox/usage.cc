#include "r1/verify/sandbox/usage.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace r1::verify::sandbox {
namespace {

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> all;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children";
  std::ifstream in(tasks);
  for (pid_t child = 0; in >> child;) all.push_back(child);
  return all;
}

std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

Usage usage_of(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  Usage usage;
  // The name, in parentheses, may hold anything; fields 14 to 17 (proc(5)) are the CPU times of the process and of its reaped children.
  const std::string stat = first_line(folder + "/stat");
  if (const size_t end = stat.rfind(')'); end != std::string::npos) {
    std::istringstream fields(stat.substr(end + 2));
    std::string skip;
    for (int i = 3; i < 14; ++i) fields >> skip;
    double ticks = 0;
    for (int i = 14; i < 18; ++i) {
      double one = 0;
      fields >> one;
      ticks += one;
    }
    usage.cpu_seconds = ticks / double(::sysconf(_SC_CLK_TCK));
  }
  std::istringstream pages(first_line(folder + "/statm"));
  int64_t total = 0, resident = 0;
  pages >> total >> resident;
  usage.memory_bytes = resident * ::sysconf(_SC_PAGESIZE);
  std::istringstream times(first_line(folder + "/schedstat"));
  double ran = 0, waited = 0;  // nanoseconds
  times >> ran >> waited;
  usage.waited_seconds = waited * 1e-9;
  return usage;
}

}  // namespace

Usage usage_below(pid_t root) {
  Usage sum;
  std::vector<pid_t> open;
  for (const pid_t bubblewrap : children_of(root)) {
    for (const pid_t pid : children_of(bubblewrap)) open.push_back(pid);
  }
  while (!open.empty()) {
    const pid_t pid = open.back();
    open.pop_back();
    const Usage one = usage_of(pid);
    sum.cpu_seconds += one.cpu_seconds;
    sum.memory_bytes += one.memory_bytes;
    sum.waited_seconds = std::max(sum.waited_seconds, one.waited_seconds);
    for (const pid_t child : children_of(pid)) open.push_back(child);
  }
  return sum;
}

}  // namespace r1::verify::sandbox
