// An order of 0..n-1 drawn by a random generator, in bounded memory. Up to kListed items it is a shuffled list (4 bytes an item, 16 MiB at
// most). Beyond, item i is computed: a Feistel cipher over the next even number of bits, walked until it falls below n (Black and Rogaway,
// "Ciphers with Arbitrary Finite Domains", 2002); no list at all, whatever n.
#pragma once

#include <cstdint>
#include <vector>

#include "r1/base/rng.h"

namespace r1::data {

class Permutation {
 public:
  static constexpr int64_t kListed = int64_t{1} << 22;

  Permutation() = default;  // of nothing
  // `listed`: the largest n that is kept as a list; another value gives another order.
  Permutation(int64_t n, Rng rng, int64_t listed = kListed);
  int64_t operator[](int64_t i) const { return list_.empty() ? walked(uint64_t(i)) : list_[size_t(i)]; }

 private:
  uint64_t enciphered(uint64_t x) const;
  int64_t walked(uint64_t x) const;

  std::vector<int32_t> list_;
  uint64_t n_ = 0, seed_ = 0, stream_ = 0;
  int half_bits_ = 0;
};

}  // namespace r1::data
