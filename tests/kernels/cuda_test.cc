// The CUDA kernels by themselves: pointers and a stream, no tensors. Tests called Cuda skip themselves where there is no device; what is
// promised of a build without CUDA is tested there.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/kernels/cuda/blocks.h"
#include "r1/kernels/cuda/device.h"
#include "tests/kernels/cuda_testing.h"

namespace r1::kernels::cuda {
namespace {

TEST(CudaDevice, SaysWhatIsThere) {
  const int devices = device_count();
  EXPECT_GE(devices, 0);
  if (devices == 0) {
    EXPECT_THROW(memory_of(0), Error);
    EXPECT_THROW(Buffer(0, 16), Error);
  }
}

TEST(CudaDevice, MemoryIsTakenAndGivenBackCuda) {
  SKIP_WITHOUT_CUDA();
  const Memory before = memory_of(0);
  EXPECT_GT(before.free, 0);
  EXPECT_LE(before.free, before.total);
  const std::vector<int32_t> values{1, 2, 3, -4};
  {
    const Buffer buffer = uploaded(values);
    EXPECT_EQ(downloaded<int32_t>(buffer), values);
    EXPECT_THROW(buffer.upload(values.data(), 17, {}), Error);
    const Buffer large(0, size_t{1} << 30);
    EXPECT_LE(memory_of(0).free, before.free - (int64_t{1} << 29));
  }
  EXPECT_THROW(Buffer(0, size_t(before.total) * 2), Error);
  EXPECT_EQ(downloaded<int32_t>(uploaded(values)), values) << "the error before has not stayed";
}

TEST(CudaBlocks, CopiesAreMadeInOrderCuda) {
  SKIP_WITHOUT_CUDA();
  constexpr int64_t kBlocks = 9;
  Rng rng(1);
  for (const int64_t bytes : {16, 4096, 65536, 24, 5}) {
    std::vector<std::vector<uint8_t>> want;
    std::vector<Buffer> pools;
    std::vector<BlockPool> all;
    for (int p = 0; p < 3; ++p) {
      want.emplace_back();
      for (int64_t i = 0; i < kBlocks * bytes; ++i) want.back().push_back(uint8_t(rng.below(256)));
      pools.push_back(uploaded(want.back()));
      all.push_back({pools.back().data(), bytes});
    }
    // A block that was written is read, one that was read is written, and it goes on beyond one launch.
    std::vector<BlockCopy> copies{{0, 1}, {1, 2}, {3, 0}, {2, 3}};
    while (copies.size() < 600) copies.push_back({int32_t(rng.below(kBlocks)), int32_t(rng.below(kBlocks))});
    copy_blocks(all.data(), 3, copies.data(), int64_t(copies.size()), {});
    for (auto& pool : want)
      for (const auto& [from, to] : copies) std::memmove(pool.data() + to * bytes, pool.data() + from * bytes, size_t(bytes));
    for (size_t p = 0; p < 3; ++p) EXPECT_EQ(downloaded<uint8_t>(pools[p]), want[p]) << bytes;
  }
}

TEST(CudaBlocks, PlacesFollowTheTablesCuda) {
  SKIP_WITHOUT_CUDA();
  constexpr int64_t kSequences = 1000, kWidth = 7;
  constexpr int32_t kBlock = 16;
  Rng rng(2);
  std::vector<int32_t> table, cu{0}, first;
  std::vector<int64_t> want;
  for (int64_t s = 0; s < kSequences; ++s) {
    for (int64_t b = 0; b < kWidth; ++b) table.push_back(int32_t(rng.below(1 << 30)));
    first.push_back(int32_t(rng.below(50)));
    const int32_t rows = s % 3 == 0 ? 0 : int32_t(rng.below(60));
    cu.push_back(cu.back() + rows);
    for (int32_t p = first.back(); p < first.back() + rows; ++p)
      want.push_back(int64_t(table[size_t(s * kWidth + p / kBlock)]) * kBlock + p % kBlock);
  }
  const Buffer table_dev = uploaded(table), cu_dev = uploaded(cu), first_dev = uploaded(first), places(0, want.size() * sizeof(int64_t));
  token_places({.table = static_cast<const int32_t*>(table_dev.data()),
                .table_width = kWidth,
                .sequences = kSequences,
                .cu = static_cast<const int32_t*>(cu_dev.data()),
                .first = static_cast<const int32_t*>(first_dev.data()),
                .block_size = kBlock,
                .places = static_cast<int64_t*>(places.data()),
                .count = int64_t(want.size())},
               {});
  EXPECT_EQ(downloaded<int64_t>(places), want);
}

}  // namespace
}  // namespace r1::kernels::cuda
