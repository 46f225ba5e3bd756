#include "r1/verify/sandbox/fd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "r1/base/error.h"

namespace r1::verify::sandbox {

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Pipe make_pipe() {
  int ends[2];
  const bool made = ::pipe2(ends, O_CLOEXEC) == 0;  // before errno is asked
  check(made, "[sandbox] no pipe: ", std::strerror(errno), "; raise the limit on open files (ulimit -n)");
  return {Fd(ends[0]), Fd(ends[1])};
}

Fd reopen_for_reading(const Fd& file) {
  Fd again(::open(("/proc/self/fd/" + std::to_string(file.get())).c_str(), O_RDONLY | O_CLOEXEC));
  check(bool(again), "[sandbox] cannot open a file in memory again: ", std::strerror(errno),
        "; /proc must be mounted and the limit on open files (ulimit -n) not reached");
  return again;
}

Fd memory_file(const char* name, std::string_view bytes, bool executable) {
  constexpr unsigned kExecutable = 0x10;  // MFD_EXEC, since Linux 6.3
  Fd file(::memfd_create(name, MFD_CLOEXEC | (executable ? kExecutable : 0)));
  if (!file && errno == EINVAL) file = Fd(::memfd_create(name, MFD_CLOEXEC));
  check(bool(file), "[sandbox] cannot make a file in memory: ", std::strerror(errno));
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(file.get(), bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    check(wrote > 0, "[sandbox] cannot write a file in memory: ", std::strerror(errno));
    bytes.remove_prefix(size_t(wrote));
  }
  return reopen_for_reading(file);
}

}  // namespace r1::verify::sandbox
