// Which full blocks hold which tokens after which beginning: a trie with one node a block, found by hash. A node is named by its parent
// node, its own tokens and what these stand for where it is not their ids (ContentSpan); all are compared in full on lookup. The parent is
// named by a serial number that is never used twice, so by induction a hit means that every token from the start is equal: a hash collision
// costs time, it can't show one request another's cache. The hash is keyed with a random secret per cache, so that requests can't be made
// to collide on purpose.
//
// Holds no references: who evicts a block (BlockManager::allocate) must call forget(block).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "r1/engine/block_manager.h"
#include "r1/engine/request.h"

namespace r1::engine {

class PrefixCache {
 public:
  // A node's name; 0..: serial numbers. Roots are made from a salt: equal beginnings under different salts (tenants) never meet.
  struct Node {
    uint64_t serial = 0;
    bool root = true;
    bool operator==(const Node&) const = default;
  };
  static Node root(uint64_t salt) { return {salt, true}; }
  using Content = std::vector<uint64_t>;

  PrefixCache(int64_t num_blocks, int32_t block_size);

  // What a block's tokens begin .. begin + size - 1 hold of contents, as the words of its key: of each span its place against the block,
  // its length and its hash. Empty where there is none.
  static Content content_of(std::span<const ContentSpan> spans, int64_t begin, int64_t size);

  // The block after `parent` that holds exactly these block_size tokens and this content, or kNoBlock.
  BlockId find(Node parent, std::span<const TokenId> tokens, const Content& content = {}) const;
  // Node of a block that is in the cache.
  Node node(BlockId block) const { return {entries_[size_t(block)].serial, false}; }
  // Remembers `block`. The caller has made sure that find() gives nothing.
  Node insert(Node parent, std::span<const TokenId> tokens, BlockId block, const Content& content = {});
  bool contains(BlockId block) const { return entries_[size_t(block)].used; }
  void forget(BlockId block);
  void clear();
  int64_t size() const { return size_; }

 private:
  struct Entry {
    Node parent;
    uint64_t serial = 0, hash = 0;
    BlockId next = kNoBlock;  // in the same bucket
    bool used = false;
  };
  uint64_t hash(Node parent, std::span<const TokenId> tokens, const Content& content) const;
  const TokenId* tokens_of(BlockId block) const { return tokens_.data() + size_t(block) * size_t(block_size_); }

  int32_t block_size_;
  uint64_t secret_, next_serial_ = 1;
  int64_t size_ = 0;
  std::vector<Entry> entries_;     // by block
  std::vector<TokenId> tokens_;    // by block, block_size each
  std::vector<Content> contents_;  // by block
  std::vector<BlockId> buckets_;   // a power of two
};

}  // namespace r1::engine
