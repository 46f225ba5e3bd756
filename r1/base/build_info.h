// What this binary was built from. The commit is read at build time into one small generated file, so a commit recompiles nothing else.
#pragma once

#include <string>

namespace r1 {

struct BuildInfo {
  std::string version, commit, build_type, compiler, libtorch, cuda, sanitizers;  // libtorch, cuda: "none" when built without
};

const BuildInfo& build_info();
// "r1 0.1.0 (1a2b3c4, Release, GNU 12.2.0, libtorch 2.11.0, cuda none)"
std::string version_line();

}  // namespace r1
