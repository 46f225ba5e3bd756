// The 64-bit key of an n-gram, made from its last word leftwards, so that the key of a longer n-gram goes on from that of its suffix; and a
// table from keys to places.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace r1::corpus {

inline uint64_t ngram_key_begin(uint32_t last_word) {
  return (uint64_t{last_word} + 1) * 0x9E3779B97F4A7C15ull;
}
// With `word` to the left. The steps are those of a 64-bit finalizer, so that any bits of the key do for a place in a table.
inline uint64_t ngram_key_longer(uint64_t key, uint32_t word) {
  key ^= (uint64_t{word} + 1) * 0xD6E8FEB86659FD93ull;
  key ^= key >> 32;
  key *= 0xD6E8FEB86659FD93ull;
  key ^= key >> 29;
  key *= 0xBF58476D1CE4E5B9ull;
  key ^= key >> 32;
  return key;
}
inline uint64_t ngram_key(const uint32_t* ids, int n) {
  uint64_t key = ngram_key_begin(ids[n - 1]);
  for (int i = n - 2; i >= 0; --i) key = ngram_key_longer(key, ids[i]);
  return key;
}

class NgramIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // False, and nothing changes, if the key is there.
  bool add(uint64_t key, uint32_t place) {
    if (used_ * 2 >= slots_.size()) grow();
    Slot& slot = slots_[find_slot(key)];
    if (slot.first != 0) return false;
    slot = {std::max<uint64_t>(key, 1), place};
    return ++used_, true;
  }
  uint32_t find(uint64_t key) const {
    const Slot& slot = slots_[find_slot(key)];
    return slot.first == 0 ? kNone : slot.second;
  }

 private:
  using Slot = std::pair<uint64_t, uint32_t>;  // key 0: empty

  size_t find_slot(uint64_t key) const {
    key = std::max<uint64_t>(key, 1);
    size_t at = key & (slots_.size() - 1);
    while (slots_[at].first != 0 && slots_[at].first != key) at = (at + 1) & (slots_.size() - 1);
    return at;
  }
  void grow() {
    std::vector<Slot> before(slots_.size() * 2);
    before.swap(slots_);
    for (const Slot& slot : before)
      if (slot.first != 0) slots_[find_slot(slot.first)] = slot;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(16);
  size_t used_ = 0;
};

}  // namespace r1::corpus
