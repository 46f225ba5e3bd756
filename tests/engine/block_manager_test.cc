#include "r1/engine/block_manager.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/rng.h"

namespace r1::engine {

TEST(BlockManager, GivesEveryBlockOnceThenNone) {
  BlockManager blocks(5);
  std::vector<bool> seen(5);
  for (int i = 0; i < 5; ++i) {
    const BlockId b = blocks.allocate();
    ASSERT_GE(b, 0);
    EXPECT_FALSE(seen[size_t(b)]);
    seen[size_t(b)] = true;
  }
  EXPECT_EQ(blocks.allocate(), kNoBlock);
  EXPECT_EQ(blocks.free_blocks(), 0);
}

TEST(BlockManager, WorthlessBlocksGoFirstThenTheLongestUnused) {
  BlockManager blocks(4);
  for (int i = 0; i < 4; ++i) blocks.allocate();
  blocks.release(2, true);
  blocks.release(0, true);
  blocks.release(3, false);
  blocks.release(1, true);
  EXPECT_EQ(blocks.allocate(), 3);
  blocks.retain(2);  // found again: no longer there for taking
  EXPECT_EQ(blocks.allocate(), 0);
  EXPECT_EQ(blocks.allocate(), 1);
  EXPECT_EQ(blocks.allocate(), kNoBlock);
  EXPECT_EQ(blocks.references(2), 1);
}

TEST(BlockManager, ReleasingWhatNobodyHoldsIsAnError) {
  BlockManager blocks(2);
  const BlockId b = blocks.allocate();
  blocks.release(b, false);
  EXPECT_THROW(blocks.release(b, false), Error);
  EXPECT_THROW(BlockManager(0), Error);
}

// Against a plain map of counts: 20,000 random operations.
TEST(BlockManager, AgreesWithAPlainModel) {
  constexpr int kBlocks = 37;
  BlockManager blocks(kBlocks);
  std::map<BlockId, int> held;
  std::vector<BlockId> seen_free;
  Rng rng(11);
  for (int step = 0; step < 20000; ++step) {
    switch (rng.below(3)) {
      case 0: {
        const BlockId b = blocks.allocate();
        ASSERT_EQ(b == kNoBlock, held.size() == kBlocks);
        if (b == kNoBlock) break;
        ASSERT_EQ(held.count(b), 0u);
        held[b] = 1;
        break;
      }
      case 1: {
        const BlockId b = BlockId(rng.below(kBlocks));
        blocks.retain(b);
        ++held[b];
        break;
      }
      default: {
        if (held.empty()) break;
        auto it = held.begin();
        std::advance(it, int64_t(rng.below(held.size())));
        blocks.release(it->first, rng.below(2) == 0);
        if (--it->second == 0) held.erase(it);
      }
    }
    ASSERT_EQ(blocks.free_blocks(), kBlocks - int64_t(held.size()));
    for (BlockId b = 0; b < kBlocks; ++b) ASSERT_EQ(blocks.references(b), held.count(b) ? held[b] : 0);
  }
}

}  // namespace r1::engine
