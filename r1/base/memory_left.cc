#include "r1/base/memory_left.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "r1/base/control_groups.h"

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

// The groups of a controller from this process's own up to what is mounted, which have a limit.
struct Names {
  const char *controller, *limit, *usage, *reclaimable;
};
constexpr Names kNames[] = {{"", "memory.max", "memory.current", "inactive_file"},
                            {"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}};

std::vector<Group> groups_above(const fs::path& root) {
  std::vector<Group> out;
  const auto trees = control_trees(root);
  const auto own = own_control_groups(root);
  for (const Names& names : kNames) {
    const auto tree = trees.find(names.controller);
    const auto group = own.find(names.controller);
    if (tree == trees.end() || group == own.end()) continue;
    const fs::path top = tree->second.mount_point;
    for (fs::path at = control_folder(tree->second, group->second);; at = at.parent_path()) {
      const fs::path folder = root / at.relative_path();
      if (const int64_t most = number_in(folder / names.limit); most != kUnknown) {
        const int64_t used = number_in(folder / names.usage), files = line_in(folder / "memory.stat", names.reclaimable);
        out.push_back({most, used == kUnknown ? 0 : used - (files == kUnknown ? 0 : std::min(files, used))});
      }
      if (at == top || at == at.parent_path()) break;
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
