// The bits of a mask (token_constraint.h): bit (id % 64) of words[id / 64]. Ids that the words do not reach, negative ones too, are not in it.
#pragma once

#include <cstdint>
#include <span>

namespace r1::grammar {

inline bool allowed(std::span<const uint64_t> words, int64_t id) {
  return size_t(id) / 64 < words.size() && (words[size_t(id) / 64] >> (id % 64) & 1);
}
inline void allow(std::span<uint64_t> words, int64_t id) {
  if (size_t(id) / 64 < words.size()) words[size_t(id) / 64] |= uint64_t{1} << (id % 64);
}
inline void forbid(std::span<uint64_t> words, int64_t id) {
  if (size_t(id) / 64 < words.size()) words[size_t(id) / 64] &= ~(uint64_t{1} << (id % 64));
}

}  // namespace r1::grammar
