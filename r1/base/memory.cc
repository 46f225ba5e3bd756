#include "r1/base/memory.h"

#include <cstdlib>  // defines __GLIBC__
#include <mutex>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace r1 {
namespace {

std::mutex mutex;
int usual_threshold = 128 << 10;  // from which on blocks are the system's, when nobody wants them back early
int waiting_for_memory = 0;       // LargeBlocksGoBack alive

void apply() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, waiting_for_memory > 0 ? 4 << 20 : usual_threshold);
#endif
}

}  // namespace

void keep_freed_memory() {
  const std::lock_guard lock(mutex);
  usual_threshold = 32 << 20;  // the most that glibc takes
  apply();
#if defined(__GLIBC__)
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

LargeBlocksGoBack::LargeBlocksGoBack() {
  const std::lock_guard lock(mutex);
  ++waiting_for_memory;
  apply();
}

LargeBlocksGoBack::~LargeBlocksGoBack() {
  const std::lock_guard lock(mutex);
  if (--waiting_for_memory == 0) apply();
}

void give_freed_memory_back() {
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
}

}  // namespace r1
