// Where Linux keeps this process's control groups, versions 1 and 2 side by side, a container's partial view too.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace r1 {

struct ControlTree {
  std::string mount_point, root;  // root: which folder of the tree is mounted there
  bool v2 = false;
};

// Controller name -> tree; "" is version 2. `root` of the file system is there for tests.
std::map<std::string, ControlTree> control_trees(const std::filesystem::path& root = "/");
// Controller name -> this process's group; "" is version 2.
std::map<std::string, std::string> own_control_groups(const std::filesystem::path& root = "/");
// The folder of a group where its tree is mounted. In a container it may not be there: the name is the host's.
std::string control_folder(const ControlTree& tree, const std::string& group);

}  // namespace r1
