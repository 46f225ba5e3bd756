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

#include "r1/base/huge_pages.h"

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
  HugeVector<Slot> slots_{Slot{}, Slot{}};
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

}  // namespace r1::text
