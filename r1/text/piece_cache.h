// What pieces became when they were last seen: most of a text is pieces that were there before. Exact: a piece is found by its bytes, not by
// a hash of them. Grows with what it is given to at most 32 MiB of pieces and 32 MiB of what does not fit into a slot; then newer pieces take
// the place of older ones. For one thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "r1/base/huge_pages.h"
#include "r1/text/bpe.h"

namespace r1::text {

class PieceCache {
 public:
  static constexpr size_t kShort = 15;        // bytes of a piece that a key holds itself
  static constexpr size_t kMostBytes = 1024;  // longer pieces are not kept
  static constexpr size_t kSlotIds = 3;

  // A short piece: its bytes, zeros, and its length as the topmost byte. A longer one: a hash, and its length under kLong.
  struct Key {
    uint64_t low, high;
    bool operator==(const Key&) const = default;
  };
  struct alignas(32) Slot {
    Key key{0, 0};                   // length 0: free
    TokenId ids[kSlotIds + 1] = {};  // the last is the number of them, so that one 16-byte move takes all; kElsewhere: see ids_of()
  };
  static constexpr TokenId kElsewhere = -1;

  // `end`: how far memory may be read.
  static Key key(const char* piece, size_t n, const char* end) {
    if (n > kShort) return {hash_bytes({piece, n}), kLong | n};
    Key k{0, 0};
    if (end - piece >= 16) {
      Key mask;
      std::memcpy(&mask, kMask + 16 - n, 16);
      std::memcpy(&k, piece, 16);
      k.low &= mask.low;
      k.high &= mask.high;
    } else {
      std::memcpy(&k, piece, n);
    }
    k.high |= uint64_t(n) << 56;
    return k;
  }
  static uint64_t hash(const Key& k) {
    const uint64_t mixed = (k.low ^ (k.high * 0x9E3779B97F4A7C15ull)) * 0xD6E8FEB86659FD93ull;
    return mixed ^ mixed << 32;
  }

  // The cache line that find() will read.
  void prefetch(uint64_t hash) const { __builtin_prefetch(slots_.data() + index(hash)); }
  // The slot of a key, null if there is none. That of a long piece may be another's: ids_of() tells.
  const Slot* find(const Key& k, uint64_t hash) const {
    const Slot* const pair = slots_.data() + index(hash);
    if (pair[0].key == k) return pair;
    if (pair[1].key == k) return pair + 1;
    const Slot* const next = slots_.data() + neighbour(index(hash));
    return next[0].key == k ? next : next[1].key == k ? next + 1 : nullptr;
  }
  // The ids of a slot that are kElsewhere, if they are of this piece.
  bool ids_of(const Slot& slot, std::string_view piece, const TokenId** ids, size_t* n) const;
  void store(const Key& k, uint64_t hash, std::string_view piece, const std::vector<Model::Symbol>& symbols);

 private:
  static constexpr uint64_t kLong = uint64_t(0xFF) << 56;
  static constexpr int kFirstBits = 9, kMostBits = 19;  // of the number of pairs of slots
  static constexpr size_t kMostElsewhere = 4 << 20;     // ids and, four a unit, bytes
  static const uint8_t kMask[32];

  // A pair of slots is a cache line. What a full pair has no room for goes to its neighbour: a third key to a pair is not rare (one in thirty
  // when a third of the slots are taken), and three that push each other out cost a merge each time.
  size_t index(uint64_t hash) const { return 2 * size_t(hash >> shift_); }
  static size_t neighbour(size_t pair) { return pair ^ 2; }
  Slot& place_for(uint64_t hash);
  static bool is_long(const Key& k) { return (k.high & kLong) == kLong; }
  void grow();
  void clear();

  int shift_ = 64 - kFirstBits;
  HugeVector<Slot> slots_ = HugeVector<Slot>(size_t(2) << kFirstBits);
  size_t stored_ = 0;
  std::vector<TokenId> ids_;  // of the slots that are kElsewhere: ids[0] is where, ids[1] how many, ids[2] where in bytes_
  std::vector<char> bytes_;   // of long pieces
};

// Pieces on their way through the cache: first all keys, so that the memory of the first slots is there when the last is asked for.
struct PieceBatch {
  static constexpr size_t kSize = 64;
  PieceCache::Key keys[kSize];
  uint64_t hashes[kSize];
  std::string_view pieces[kSize];
  size_t size = 0;

  void add(std::string_view piece, const char* readable, const PieceCache& cache) {
    keys[size] = PieceCache::key(piece.data(), piece.size(), readable);
    hashes[size] = PieceCache::hash(keys[size]);
    pieces[size] = piece;
    cache.prefetch(hashes[size]);
    ++size;
  }
};

}  // namespace r1::text
