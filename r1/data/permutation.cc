#include "r1/data/permutation.h"

#include <bit>
#include <numeric>

namespace r1::data {

Permutation::Permutation(int64_t n, Rng rng, int64_t listed) : n_(uint64_t(n)), seed_(rng.seed()), stream_(rng.stream()) {
  if (n <= listed) {
    list_.resize(size_t(n));
    std::iota(list_.begin(), list_.end(), 0);
    rng.shuffle(list_);
    return;
  }
  half_bits_ = (std::bit_width(n_ - 1) + 1) / 2;
}

// Four rounds suffice for an order that looks drawn (Luby and Rackoff); each changes one half by a function of the other.
uint64_t Permutation::enciphered(uint64_t x) const {
  constexpr uint64_t kRounds = 4;
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = x >> half_bits_, right = x & mask;
  for (uint64_t round = 0; round < kRounds; ++round) {
    const uint64_t mixed = left ^ (random_bits(seed_, stream_ + round, right) & mask);
    left = right;
    right = mixed;
  }
  return left << half_bits_ | right;
}

int64_t Permutation::walked(uint64_t x) const {
  do x = enciphered(x);
  while (x >= n_);
  return int64_t(x);
}

}  // namespace r1::data
