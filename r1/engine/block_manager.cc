#include "r1/engine/block_manager.h"

#include "r1/base/error.h"

namespace r1::engine {

BlockManager::BlockManager(int64_t num_blocks) {
  check(num_blocks > 0 && num_blocks < INT32_MAX, "[block_manager] expected 1 to 2^31-2 blocks, got ", num_blocks);
  references_.assign(size_t(num_blocks), 0);
  previous_.resize(size_t(num_blocks) + 1);
  next_.resize(size_t(num_blocks) + 1);
  previous_.back() = next_.back() = BlockId(num_blocks);
  for (BlockId b = 0; b < BlockId(num_blocks); ++b) link_back(b);
}

BlockId BlockManager::allocate() {
  const BlockId sentinel = BlockId(references_.size());
  const BlockId block = next_[size_t(sentinel)];
  if (block == sentinel) return kNoBlock;
  unlink(block);
  references_[size_t(block)] = 1;
  return block;
}

void BlockManager::retain(BlockId block) {
  if (references_[size_t(block)]++ == 0) unlink(block);
}

void BlockManager::release(BlockId block, bool keep) {
  check(references_[size_t(block)] > 0, "[block_manager] block ", block, " released more often than held");
  if (--references_[size_t(block)] > 0) return;
  keep ? link_back(block) : link_front(block);
}

void BlockManager::link_front(BlockId block) {
  const size_t sentinel = references_.size();
  const BlockId first = next_[sentinel];
  previous_[size_t(block)] = BlockId(sentinel);
  next_[size_t(block)] = first;
  next_[sentinel] = previous_[size_t(first)] = block;
  ++free_;
}

void BlockManager::link_back(BlockId block) {
  const size_t sentinel = references_.size();
  const BlockId last = previous_[sentinel];
  next_[size_t(block)] = BlockId(sentinel);
  previous_[size_t(block)] = last;
  previous_[sentinel] = next_[size_t(last)] = block;
  ++free_;
}

void BlockManager::unlink(BlockId block) {
  next_[size_t(previous_[size_t(block)])] = next_[size_t(block)];
  previous_[size_t(next_[size_t(block)])] = previous_[size_t(block)];
  --free_;
}

}  // namespace r1::engine
