// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC11).
// A draw is a pure function of (seed, stream, counter), so a request, a token position or a training step names its own numbers and
// nothing depends on what else ran before, on thread count or on where a run was resumed. State is three integers: save them, and you can
// resume.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace r1 {

// Ten rounds of Philox on a 128-bit counter and 64-bit key. Oracle: Random123's known-answer vectors (tests/base/rng_test.cc).
inline std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {uint32_t(b >> 32) ^ counter[1] ^ key[0], uint32_t(b), uint32_t(a >> 32) ^ counter[3] ^ key[1], uint32_t(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// 64 random bits for (seed, stream, index).
inline uint64_t random_bits(uint64_t seed, uint64_t stream, uint64_t index) {
  const auto r = philox4x32({uint32_t(index), uint32_t(index >> 32), uint32_t(stream), uint32_t(stream >> 32)},
                            {uint32_t(seed), uint32_t(seed >> 32)});
  return uint64_t(r[0]) | uint64_t(r[1]) << 32;
}

// Uniform in [0, 1) with 53 bits.
inline double random_uniform(uint64_t seed, uint64_t stream, uint64_t index) {
  return double(random_bits(seed, stream, index) >> 11) * 0x1p-53;
}

// A sequence over one (seed, stream).
class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  uint64_t bits() { return random_bits(seed_, stream_, index_++); }
  double uniform() { return double(bits() >> 11) * 0x1p-53; }
  // Uniform integer in [0, n), n > 0; exact (rejection of the uneven tail).
  uint64_t below(uint64_t n) {
    const uint64_t limit = UINT64_MAX - UINT64_MAX % n;
    uint64_t x = bits();
    while (x >= limit) x = bits();
    return x % n;
  }
  // Uniform integer in [lo, hi].
  int64_t between(int64_t lo, int64_t hi) { return lo + int64_t(below(uint64_t(hi - lo) + 1)); }
  // Standard normal by Box-Muller; draws two numbers a call.
  double normal() {
    const double u = 1.0 - uniform(), v = uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
  }
  // Fisher-Yates.
  template <class Vector>
  void shuffle(Vector& v) {
    for (uint64_t i = v.size(); i > 1; --i) std::swap(v[i - 1], v[below(i)]);
  }
  // An independent generator for a named part.
  Rng split(uint64_t child) const { return Rng(random_bits(seed_, stream_ ^ 0x9E3779B97F4A7C15ull, child), child); }

  uint64_t seed() const { return seed_; }
  uint64_t stream() const { return stream_; }
  uint64_t index() const { return index_; }
  void seek(uint64_t index) { index_ = index; }

 private:
  uint64_t seed_, stream_, index_ = 0;
};

}  // namespace r1
