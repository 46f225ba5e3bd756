#include "r1/base/huge_pages.h"

#include <sys/mman.h>

#include <cstdlib>

namespace r1 {

void* allocate_huge(size_t bytes) {
  bytes = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* const block = std::aligned_alloc(kHugePage, bytes);
  if (block == nullptr) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  ::madvise(block, bytes, MADV_HUGEPAGE);
#endif
  return block;
}

void free_huge(void* block) {
  std::free(block);
}

}  // namespace r1
