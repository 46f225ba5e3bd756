// The 64-bit key of an n-gram, made from its last word leftwards, so that the key of a longer n-gram goes on from that of its suffix.
#pragma once

#include <cstdint>

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

}  // namespace r1::corpus
