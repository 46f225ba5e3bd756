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

void prefer_huge_pages(void* block, size_t bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(block), first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const auto last = (begin + bytes) / kHugePage * kHugePage;
  if (first >= last) return;
#if defined(MADV_HUGEPAGE)
  ::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace r1
