#include "r1/base/control_groups.h"

#include <fstream>
#include <sstream>

namespace r1 {

std::map<std::string, ControlTree> control_trees(const std::filesystem::path& root) {
  std::map<std::string, ControlTree> trees;
  std::ifstream in(root / "proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string skip, mounted, point, word, type, source, options;
    fields >> skip >> skip >> skip >> mounted >> point;
    while (fields >> word && word != "-") {
    }
    fields >> type >> source >> options;
    if (type == "cgroup2") trees.emplace("", ControlTree{point, mounted, true});
    if (type != "cgroup") continue;
    std::istringstream names(options);
    for (std::string name; std::getline(names, name, ',');) trees.emplace(name, ControlTree{point, mounted, false});
  }
  return trees;
}

std::map<std::string, std::string> own_control_groups(const std::filesystem::path& root) {
  std::map<std::string, std::string> groups;
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::istringstream names(line.substr(first + 1, second - first - 1));
    const std::string path = line.substr(second + 1);
    if (second == first + 1) groups[""] = path;
    for (std::string name; std::getline(names, name, ',');) groups[name] = path;
  }
  return groups;
}

std::string control_folder(const ControlTree& tree, const std::string& group) {
  std::string below = group;
  if (tree.root != "/" && group.starts_with(tree.root)) below = group.substr(tree.root.size());
  const std::string folder = tree.mount_point + (below == "/" ? "" : below);
  return folder.find("/../") != std::string::npos ? tree.mount_point : folder;
}

}  // namespace r1
