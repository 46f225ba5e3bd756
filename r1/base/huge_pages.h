// Memory for tables that are read here and there: large blocks ask the system for huge pages, so that a look-up does not wait for the address
// of its page too. A wish only: where there are none, the memory is as ever.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace r1 {

void* allocate_huge(size_t bytes);  // at least kHugePage; throws std::bad_alloc
void free_huge(void* block);
// Asks for huge pages in a block that is somebody else's and not written yet: for those that lie in it as a whole.
void prefer_huge_pages(void* block, size_t bytes);
inline constexpr size_t kHugePage = size_t(2) << 20;

template <class T>
struct HugePageAllocator {
  using value_type = T;
  HugePageAllocator() = default;
  template <class U>
  HugePageAllocator(const HugePageAllocator<U>&) {}
  T* allocate(size_t n) {
    if (n * sizeof(T) >= kHugePage) return static_cast<T*>(allocate_huge(n * sizeof(T)));
    return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(alignof(T))));
  }
  void deallocate(T* block, size_t n) {
    n * sizeof(T) >= kHugePage ? free_huge(block) : ::operator delete(block, std::align_val_t(alignof(T)));
  }
  bool operator==(const HugePageAllocator&) const { return true; }
};

template <class T>
using HugeVector = std::vector<T, HugePageAllocator<T>>;

}  // namespace r1
