// Who holds which block of the cache. A block is a number; what its bytes mean is the layers' business (LayerCache), what its tokens are is
// the prefix cache's. Blocks nobody holds wait in one list, oldest first: those without content worth keeping at the front, those that a
// later request may find again (release(keep)) at the back, so taking from the front is eviction in LRU order. All operations are O(1);
// nothing allocates after construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace r1::engine {

using BlockId = int32_t;
inline constexpr BlockId kNoBlock = -1;

class BlockManager {
 public:
  explicit BlockManager(int64_t num_blocks);

  // Takes the block that was longest unused, reference count 1; kNoBlock if all are held. Whoever remembers its old content must forget it
  // now.
  BlockId allocate();
  // One more holder. A block that waits in the list is taken out of it (a prefix hit).
  void retain(BlockId block);
  // One holder less. The last one puts it in the list: at the back if its content is worth keeping, else at the front.
  void release(BlockId block, bool keep);

  int32_t references(BlockId block) const { return references_[size_t(block)]; }
  int64_t free_blocks() const { return free_; }
  int64_t total_blocks() const { return int64_t(references_.size()); }

 private:
  void link_front(BlockId block);
  void link_back(BlockId block);
  void unlink(BlockId block);

  std::vector<int32_t> references_;
  std::vector<BlockId> previous_, next_;  // a ring through the sentinel at index num_blocks
  int64_t free_ = 0;
};

}  // namespace r1::engine
