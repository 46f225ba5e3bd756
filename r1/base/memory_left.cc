#include "r1/base/memory_left.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

namespace r1 {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();

// "max" and numbers that do not fit (version 1 writes 2^63 less a page for none) are no limit.
int64_t number_in(const fs::path& file) {
  std::ifstream in(file);
  int64_t value = 0;
  return in >> value && value < kUnknown / 2 ? value : kUnknown;
}

// The number of a line that begins with `key`.
int64_t line_in(const fs::path& file, const std::string& key) {
  std::ifstream in(file);
  int64_t value = 0;
  for (std::string word; in >> word; in.ignore(kUnknown, '\n'))
    if (word == key) return in >> value ? value : kUnknown;
  return kUnknown;
}

struct Group {
  int64_t limit = kUnknown, used = 0;
};

void add_groups(const fs::path& mount, fs::path path, const char* limit, const char* usage, const char* reclaimable,
                std::vector<Group>& out) {
  for (path = path.relative_path();; path = path.parent_path()) {
    const fs::path folder = path.empty() ? mount : mount / path;
    if (const int64_t most = number_in(folder / limit); most != kUnknown) {
      const int64_t used = number_in(folder / usage), files = line_in(folder / "memory.stat", reclaimable);
      out.push_back({most, used == kUnknown ? 0 : used - (files == kUnknown ? 0 : std::min(files, used))});
    }
    if (path.empty()) return;
  }
}

std::vector<Group> groups_above(const fs::path& root) {
  std::vector<Group> out;
  std::ifstream in(root / "proc/self/cgroup");
  const fs::path tree = root / "sys/fs/cgroup";
  for (std::string line; std::getline(in, line);) {  // "4:memory:/path", "0::/path"
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",", path = line.substr(second + 1);
    if (controllers == ",,") {
      for (const fs::path& mount : {tree, tree / "unified"}) add_groups(mount, path, "memory.max", "memory.current", "inactive_file", out);
    } else if (controllers.find(",memory,") != std::string::npos) {
      add_groups(tree / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", out);
    }
  }
  return out;
}

}  // namespace

int64_t memory_limit(const fs::path& root) {
  int64_t least = kUnknown;
  for (const Group& group : groups_above(root)) least = std::min(least, group.limit);
  return least;
}

int64_t memory_left(const fs::path& root) {
  const int64_t kib = line_in(root / "proc/meminfo", "MemAvailable:");
  int64_t least = kib == kUnknown ? kUnknown : kib * 1024;
  for (const Group& group : groups_above(root)) least = std::min(least, std::max<int64_t>(0, group.limit - group.used));
  return least;
}

}  // namespace r1
