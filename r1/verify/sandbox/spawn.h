// Starts the launcher as a supervisor and hands it its descriptors. posix_spawn shares this process' memory until exec, so a trainer with
// tens of GB pays nothing for it, and no thread's lock is copied.
#pragma once

#include <sys/types.h>

#include <string_view>
#include <vector>

#include "r1/verify/sandbox/fd.h"

namespace r1::verify::sandbox {

struct Supervisor {
  pid_t pid = -1;
  Fd control;  // a stream socket
};

// `fds` become 1, 2, 3, ... there (setup_format.h).
Supervisor spawn_supervisor(const Fd& launcher, const std::vector<int>& fds);

}  // namespace r1::verify::sandbox
