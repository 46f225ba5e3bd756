// Who wants large blocks back from malloc gets them while it lives, and the process has its own setting again afterwards.
#include "r1/base/memory.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include <malloc.h>

namespace r1 {
namespace {

// Whether a block of so many bytes is the system's own (and goes back to it) rather than a part of the heap.
bool goes_back(size_t bytes) {
  const size_t before = mallinfo2().hblks;
  const std::unique_ptr<void, void (*)(void*)> block(std::malloc(bytes), std::free);
  return mallinfo2().hblks > before;
}

TEST(Memory, LargeBlocksGoBackOnlyWhileAsked) {
  constexpr size_t kBlock = 24 << 20;  // larger than what others have left free in the heap, which malloc takes first
  keep_freed_memory();
  EXPECT_FALSE(goes_back(4 << 20));
  {
    const LargeBlocksGoBack outer;
    EXPECT_TRUE(goes_back(kBlock));
    EXPECT_FALSE(goes_back(1 << 20));
    { const LargeBlocksGoBack inner; }
    EXPECT_TRUE(goes_back(kBlock)) << "the outer one is still there";
  }
  EXPECT_FALSE(goes_back(kBlock));
}

}  // namespace
}  // namespace r1
#endif
