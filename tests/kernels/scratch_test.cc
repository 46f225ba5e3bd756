// Scratch buffers: each name is memory of its own, aligned, and grows without disturbing the others.
#include "r1/kernels/cpu/scratch.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace r1::kernels {
namespace {

constexpr int kBuffers = int(Scratch::kCount);

TEST(Scratch, BuffersDoNotOverlap) {
  std::vector<unsigned char*> at;
  for (int i = 0; i < kBuffers; ++i) {
    const size_t bytes = 100 + size_t(i) * 5000;
    at.push_back(static_cast<unsigned char*>(scratch_bytes(Scratch(i), bytes)));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(at.back()) % 64, 0u);
    std::memset(at.back(), i + 1, bytes);
  }
  for (int i = 0; i < kBuffers; ++i) {
    const size_t bytes = 100 + size_t(i) * 5000;
    EXPECT_EQ(scratch_bytes(Scratch(i), bytes), at[size_t(i)]) << "kept for the next call";
    for (size_t b = 0; b < bytes; ++b) ASSERT_EQ(at[size_t(i)][b], i + 1) << i << " at " << b;
  }
}

TEST(Scratch, IsTheThreadsOwn) {
  float* mine = scratch(Scratch::kGemmA, 16);
  float* theirs = nullptr;
  std::thread([&] { theirs = scratch(Scratch::kGemmA, 16), theirs[0] = 1; }).join();
  mine[0] = 2;
  EXPECT_EQ(mine, scratch(Scratch::kGemmA, 16));
  EXPECT_EQ(mine[0], 2);
}

}  // namespace
}  // namespace r1::kernels
