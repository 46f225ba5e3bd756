// The vocabulary model: pieces of bytes to ids. Byte-pair encoding applies the learned merges in the order of their rank, leftmost first,
// as HF's BPE does (Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units"); a word-level model only looks the
// piece up. Short pieces merge in a small array, long ones with a heap over a linked list: O(n log n), never quadratic.
//
// Thread-safe once built; each thread brings its own Scratch.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace r1::text {

using TokenId = int32_t;
inline constexpr TokenId kNoToken = -1;

// The 256 letters by which ByteLevel vocabularies write bytes (GPT-2's bytes_to_unicode).
uint32_t byte_letter(uint8_t byte);
std::string to_byte_letters(std::string_view bytes);
bool from_byte_letters(std::string_view letters, std::string* bytes);  // false if a character is no such letter

// Open addressing from bytes to ids; the bytes lie in one arena.
class StringTable {
 public:
  void reserve(size_t n, size_t bytes);
  void insert(std::string_view key, TokenId id);  // a later insert of an equal key wins
  TokenId find(std::string_view key) const;
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    size_t offset;
    uint32_t length;
    TokenId id;
  };
  std::string_view key_of(const Entry& e) const { return {arena_.data() + e.offset, e.length}; }
  void rehash(size_t slots);
  std::string arena_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // index + 1 into entries_
  std::vector<uint32_t> hashes_;
};

// Pairs of ids to the rank and result of their merge.
class MergeTable {
 public:
  struct Merge {
    uint32_t rank = UINT32_MAX;
    TokenId result = kNoToken;
  };
  void build(size_t n);
  void insert(TokenId a, TokenId b, Merge merge);
  Merge find(TokenId a, TokenId b) const {
    const uint64_t key = key_of(a, b);
    for (size_t i = slot_of(key);; i = (i + 1) & mask_) {
      if (slots_[i].key == key) return slots_[i].merge;
      if (slots_[i].key == kFree) return {};
    }
  }

 private:
  static constexpr uint64_t kFree = UINT64_MAX;
  struct Slot {
    uint64_t key = kFree;
    Merge merge;
  };
  static uint64_t key_of(TokenId a, TokenId b) { return uint64_t(uint32_t(a)) << 32 | uint32_t(b); }
  size_t slot_of(uint64_t key) const { return (key * 0x9E3779B97F4A7C15ull) >> shift_; }
  std::vector<Slot> slots_{Slot{}, Slot{}};
  size_t mask_ = 1;
  int shift_ = 63;
};

struct ModelOptions {
  enum class Kind { kBpe, kWordLevel } kind = Kind::kBpe;
  bool byte_level = true;
  bool byte_fallback = false, ignore_merges = false, fuse_unk = false;
  TokenId unk = kNoToken;
};

class Model {
 public:
  struct MergeRule {
    TokenId left, right, result;
  };
  // keys[i] is the piece that ids[i] stands for: raw bytes.
  Model() = default;
  // ranks[i] is that of merges[i]: lower ones merge first, of equal ones the leftmost (SentencePiece, where a score ranks all ways to make
  // a piece). Empty: their order.
  Model(ModelOptions options, const std::vector<std::pair<std::string_view, TokenId>>& vocabulary, const std::vector<MergeRule>& merges,
        const std::vector<uint32_t>& ranks = {});

  struct Symbol {
    TokenId id;
    uint32_t length;  // bytes of the piece
  };
  struct Scratch {
    std::vector<Symbol> symbols;
    std::vector<MergeTable::Merge> pairs;
    std::vector<uint32_t> previous, next;
    std::vector<std::pair<uint64_t, TokenId>> heap;  // (rank << 32 | position, result)
  };
  // The ids of one piece with the number of its bytes each covers, in scratch.symbols. Bytes that the vocabulary lacks and no unk token
  // covers are dropped.
  void encode(std::string_view piece, Scratch& scratch) const;
  TokenId find(std::string_view bytes) const { return vocabulary_.find(bytes); }
  const ModelOptions& options() const { return options_; }

 private:
  void start_symbols(std::string_view piece, std::vector<Symbol>& symbols) const;
  bool fall_back(std::string_view character, std::vector<Symbol>& symbols) const;
  void merge_short(Scratch& s) const;
  void merge_long(Scratch& s) const;

  ModelOptions options_;
  StringTable vocabulary_;
  MergeTable merges_;
  std::array<TokenId, 256> byte_ids_{};      // the token of each single byte
  std::array<TokenId, 256> fallback_ids_{};  // <0x00> ... <0xFF>
};

// A hash of bytes, for tables in memory.
uint64_t hash_bytes(std::string_view bytes);

// Ids of recent short pieces: a fixed table, two entries a cache line, the newer piece takes the place of the older.
class PieceCache {
 public:
  static constexpr size_t kMaxBytes = 15, kMaxIds = 3;
  // A piece as two words: its bytes, zeros, and its length on top.
  struct Key {
    uint64_t low, high;
    bool operator==(const Key&) const = default;
  };
  struct alignas(32) Slot {
    Key key{0, 0};                  // length 0: free
    TokenId ids[kMaxIds + 1] = {};  // the last is the number of them, so that one 16-byte move takes all
    size_t count() const { return size_t(ids[kMaxIds]); }
  };
  static_assert(sizeof(Slot) == 32);

  explicit PieceCache(int bits = 15) : shift_(64 - bits), slots_(size_t(2) << bits) {}

  // `end`: how far memory may be read.
  static Key key(const char* piece, size_t n, const char* end) {
    Key k{0, 0};
    if (end - piece >= 16) {
      std::memcpy(&k, piece, 16);
      const uint64_t bits = 8 * n;
      if (n < 8) {
        k.low &= (uint64_t(1) << bits) - 1;
        k.high = 0;
      } else {
        k.high &= (uint64_t(1) << (bits - 64)) - 1;
      }
    } else {
      std::memcpy(&k, piece, n);
    }
    k.high |= uint64_t(n) << 56;
    return k;
  }

  const Slot* find(const Key& k) const {
    const Slot* const pair = slots_.data() + index(k);
    return pair[0].key == k ? pair : pair[1].key == k ? pair + 1 : nullptr;
  }

  // Takes the ids of a piece in; null if they are too many.
  const Slot* store(const Key& k, const std::vector<Model::Symbol>& symbols) {
    if (symbols.size() > kMaxIds) return nullptr;
    Slot* const pair = slots_.data() + index(k);
    pair[1] = pair[0];
    pair[0].key = k;
    pair[0].ids[kMaxIds] = TokenId(symbols.size());
    for (size_t i = 0; i < symbols.size(); ++i) pair[0].ids[i] = symbols[i].id;
    return pair;
  }

 private:
  size_t index(const Key& k) const {
    const uint64_t mixed = (k.low ^ (k.high * 0x9E3779B97F4A7C15ull)) * 0xD6E8FEB86659FD93ull;
    return 2 * size_t((mixed ^ mixed << 32) >> shift_);
  }
  int shift_;
  std::vector<Slot> slots_;
};

}  // namespace r1::text
