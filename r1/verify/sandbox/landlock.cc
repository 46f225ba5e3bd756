#include "r1/verify/sandbox/landlock.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace r1::verify::sandbox {
namespace {

// The kernel's numbers (include/uapi/linux/landlock.h); the headers of a build machine may be older than the kernel that runs this.
constexpr long kCreateRuleset = 444;
constexpr uint64_t kExecute = 1 << 0, kWriteFile = 1 << 1, kReadFile = 1 << 2, kReadDir = 1 << 3, kRefer = 1 << 13, kTruncate = 1 << 14,
                   kIoctlDev = 1 << 15;
constexpr uint64_t kFirstAbi = (1 << 13) - 1;  // the three above, removing and making of every kind
constexpr uint64_t kMakeDevices = 1 << 6 | 1 << 11;

}  // namespace

int landlock_abi() {
  const long abi = ::syscall(kCreateRuleset, nullptr, 0, 1);
  return abi > 0 ? int(abi) : 0;
}

LandlockDomain landlock_domain(int abi) {
  LandlockDomain domain;
  if (abi >= 1) domain.fs = kFirstAbi;
  if (abi >= 2) domain.fs |= kRefer;
  if (abi >= 3) domain.fs |= kTruncate;
  if (abi >= 4) domain.net = 3;  // bind and connect
  if (abi >= 5) domain.fs |= kIoctlDev;
  if (abi >= 6) domain.scope = 3;  // abstract sockets, signals
  return domain;
}

uint64_t landlock_rights(Access access) {
  switch (access) {
    case Access::kRead:
      return kReadFile | kReadDir;
    case Access::kReadExecute:
      return kReadFile | kReadDir | kExecute;
    case Access::kReadWriteFile:
      return kReadFile | kWriteFile | kTruncate;
    case Access::kAll:
      return (kFirstAbi | kRefer | kTruncate) & ~kMakeDevices;
  }
  return 0;
}

}  // namespace r1::verify::sandbox
