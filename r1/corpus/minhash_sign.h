// MinHash signatures of hashed shingles, bit for bit datatrove's: of every permutation the least value of ((x a + b) mod 2^64) mod (2^61 - 1) over
// the shingles x, with a and b from numpy's RandomState(seed). (Broder, "On the resemblance and containment of documents", 1997; the
// product wraps around there because numpy's does.)
//
// AVX2 and AVX-512 first find the least upper 16 bits, nearly: seven products of 16 bits, of which a vector takes 16 or 32, instead of a whole
// 64-bit one and a division. Then they work out only those shingles whose upper bits come near the least ones. Each gives the same bits as the
// plain definition.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace r1::corpus {

enum class SignWith { kBest, kPlain, kAvx2, kAvx512 };

class MinhashSigner {
 public:
  // `bits` is datatrove's precision: 64, or 32, which keeps the lower 32 bits of each value before the least is looked for.
  MinhashSigner(int64_t permutations, uint64_t seed, int64_t bits = 64);

  int64_t permutations() const { return int64_t(a_.size()); }
  // signature[permutations()]; at least one shingle. `with` must be one that can_sign_with().
  void sign(std::span<const uint64_t> shingles, uint64_t* signature, SignWith with = SignWith::kBest) const;
  static bool can_sign_with(SignWith with);

  std::span<const uint64_t> a() const { return a_; }
  std::span<const uint64_t> b() const { return b_; }

  // The constants of 32 permutations as the vector code wants them: 8 a in four parts of 16 bits, the lowest first, and of 8 b + 64 the upper 16
  // bits plus the most that lower parts carry into them.
  struct alignas(64) Parts {
    uint16_t a[4][32], b[32];
  };

 private:
  std::vector<uint64_t> a_, b_;
  std::vector<Parts> parts_;
  int64_t bits_;
};

}  // namespace r1::corpus
