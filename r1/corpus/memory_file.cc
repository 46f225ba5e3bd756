#include "r1/corpus/memory_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "r1/base/error.h"

namespace r1::corpus {

void Descriptor::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

MemoryFile::MemoryFile(const std::string& name, std::string_view bytes, bool inherited)
    : file_(memfd_create(name.c_str(), inherited ? 0 : MFD_CLOEXEC)) {
  if (file_.get() < 0) fail("cannot hold a ", name, " in memory: ", std::strerror(errno));
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = write(file_.get(), bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno != EINTR) fail("cannot hold a ", name, " in memory: ", std::strerror(errno));
    if (n > 0) at += size_t(n);
  }
}

}  // namespace r1::corpus
