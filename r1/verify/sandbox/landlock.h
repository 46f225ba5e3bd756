// Landlock: the kernel itself checks every path that the program opens against a list of folders, whatever is mounted where. The rules are
// laid down by the launcher between fork and exec (setup_format.h), because bubblewrap must still mount and Landlock forbids that.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace r1::verify::sandbox {

// 0: the kernel has none, or it is switched off at boot.
int landlock_abi();

// The rights that an ABI knows: all of them are denied but where a rule grants them. From ABI 4 on also TCP, from 6 on signals to and
// abstract sockets of the world outside.
struct LandlockDomain {
  uint64_t fs = 0, net = 0, scope = 0;
};
LandlockDomain landlock_domain(int abi);

enum class Access { kRead, kReadExecute, kReadWriteFile, kAll };
struct LandlockRule {
  std::string path;  // inside
  Access access;
};
uint64_t landlock_rights(Access access);

}  // namespace r1::verify::sandbox
