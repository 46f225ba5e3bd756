#include "r1/corpus/minhash_sign.h"

#include <algorithm>
#include <random>

#if defined(__x86_64__)
#include <immintrin.h>
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // what gcc 12 says of its own AVX-512 header
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include "r1/base/error.h"

namespace r1::corpus {
namespace {

constexpr uint64_t kPrime = (uint64_t{1} << 61) - 1;
constexpr size_t kBlock = 16;   // shingles whose least upper bits are remembered together
constexpr uint64_t kCarry = 5;  // the most that the lower 48 bits of 8 (a x + b) + 64 carry, their parts added one by one

uint64_t value(uint64_t x, uint64_t a, uint64_t b) {
  const uint64_t v = x * a + b, w = (v & kPrime) + (v >> 61);
  return w >= kPrime ? w - kPrime : w;
}

void sign_plain(std::span<const uint64_t> x, std::span<const uint64_t> a, std::span<const uint64_t> b, uint64_t mask, uint64_t* out) {
  for (size_t i = 0; i < a.size(); ++i) {
    uint64_t least = UINT64_MAX;
    for (const uint64_t s : x) least = std::min(least, value(s, a[i], b[i]) & mask);
    out[i] = least;
  }
}

// numpy's RandomState.randint(low, low + span + 1, dtype=uint64): draws of 64 bits, the upper half first, until one under the mask is no
// more than span.
uint64_t draw(std::mt19937& random, uint64_t low, uint64_t span) {
  uint64_t mask = span;
  for (int shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
  for (;;) {
    const uint64_t high = random();
    const uint64_t v = (high << 32 | random()) & mask;
    if (v <= span) return low + v;
  }
}

#if defined(__x86_64__)

// Why a key of 16 bits is enough to find the candidates. With v = x a + b mod 2^64, m = v mod 2^61 and t = v >> 61 (at most 7), the value is
// w = m + t, less the prime if that is no less. u = 8 v + 64 mod 2^64 is 8 (m + 8), unless that wraps around, which it does wherever w does:
// so 8 w + 64 >= u for every x with a small w. The key adds up, modulo 2^16, what the products of the parts of 8 a and x have in the upper 16
// bits of u, and kCarry for what comes from below them, which is 0 to kCarry: two middle products, the lower halves of three higher ones and
// 8 b + 64 are less than six times 2^48 together. So the key is the upper 16 bits of u plus 0 to kCarry, key(x) <= hi(8 w(x) + 64) + kCarry, and
// whoever has a value w in hand finds every better shingle among those with key <= hi(8 w + 64) + kCarry. (Some keys are small by wrapping
// although their values are not: they are only looked at in vain.)
uint16_t bound_of(uint64_t w) {
  const uint64_t most = w >= (UINT64_MAX - 64) / 8 ? UINT64_MAX : 8 * w + 64;
  return uint16_t(std::min<uint64_t>((most >> 48) + kCarry, UINT16_MAX));
}

constexpr size_t kLanes = 32;  // permutations of one MinhashSigner::Parts

// What a look at all shingles leaves: the least key of each block of them, blocks[block * lanes + i] for permutation i; of all blocks the
// least, the one after it, and where the least was first.
struct Look {
  std::vector<uint16_t> blocks, second, where;
  size_t lanes = 0;

  void make_room(size_t n_blocks, size_t n_lanes) {
    lanes = n_lanes;
    if (blocks.size() < n_blocks * lanes) blocks.resize(n_blocks * lanes);
    for (auto* v : {&second, &where}) v->resize(lanes);
  }
};

// The least value of a block, or `found`. The last block may begin earlier: its shingles are looked at twice, which takes nothing away.
__attribute__((target("avx2"))) inline uint64_t least_value(std::span<const uint64_t> x, size_t block, uint64_t a, uint64_t b,
                                                            uint64_t found) {
  if (x.size() < kBlock) {
    for (const uint64_t s : x) found = std::min(found, value(s, a, b));
    return found;
  }
  const uint64_t* from = &x[std::min(block * kBlock, x.size() - kBlock)];
  const __m256i a_low = _mm256_set1_epi64x(int64_t(a)), a_high = _mm256_set1_epi64x(int64_t(a >> 32)),
                prime = _mm256_set1_epi64x(int64_t(kPrime)), plus = _mm256_set1_epi64x(int64_t(b));
  __m256i least = _mm256_set1_epi64x(INT64_MAX);
  for (size_t k = 0; k < kBlock / 4; ++k) {
    const __m256i four = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 4 * k));
    const __m256i cross = _mm256_add_epi64(_mm256_mul_epu32(four, a_high), _mm256_mul_epu32(_mm256_srli_epi64(four, 32), a_low));
    const __m256i v = _mm256_add_epi64(_mm256_add_epi64(_mm256_mul_epu32(four, a_low), _mm256_slli_epi64(cross, 32)), plus);
    const __m256i w = _mm256_add_epi64(_mm256_and_si256(v, prime), _mm256_srli_epi64(v, 61));
    const __m256i reduced = _mm256_sub_epi64(w, _mm256_andnot_si256(_mm256_cmpgt_epi64(prime, w), prime));
    least = _mm256_blendv_epi8(least, reduced, _mm256_cmpgt_epi64(least, reduced));
  }
  alignas(32) uint64_t values[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(values), least);
  return std::min(found, std::min(std::min(values[0], values[1]), std::min(values[2], values[3])));
}

// Every block whose keys a value may hide under.
__attribute__((target("avx2"))) uint64_t look_again(std::span<const uint64_t> x, const Look& look, size_t i, uint64_t a, uint64_t b,
                                                    uint64_t found) {
  for (uint16_t bound = bound_of(found);;) {
    for (size_t k = 0; k * kBlock < x.size(); ++k)
      if (look.blocks[k * look.lanes + i] <= bound) found = least_value(x, k, a, b, found);
    const uint16_t needed = bound_of(found);
    if (needed <= bound) return found;
    bound = needed;
  }
}

// Mostly the value is in the block of the least key, and no other block has keys that come near it.
__attribute__((target("avx2"))) void resolve(std::span<const uint64_t> x, const Look& look, std::span<const uint64_t> a,
                                             std::span<const uint64_t> b, uint64_t* out) {
  for (size_t i = 0; i < a.size(); ++i) {
    const uint64_t found = least_value(x, look.where[i], a[i], b[i], UINT64_MAX);
    out[i] = look.second[i] > bound_of(found) ? found : look_again(x, look, i, a[i], b[i], found);
  }
}

// kGroups vectors of permutations from `from` on, whose least keys stay in registers while the shingles of a block pass by.
template <int kGroups>
__attribute__((target("avx2"))) void look_avx2(std::span<const uint64_t> x, std::span<const MinhashSigner::Parts> parts, size_t from,
                                               Look& look) {
  const size_t n_blocks = (x.size() + kBlock - 1) / kBlock;
  const MinhashSigner::Parts* constants = parts.data() + from / kLanes;
  __m256i least[kGroups], second[kGroups], where[kGroups];
  for (int g = 0; g < kGroups; ++g) {
    least[g] = second[g] = _mm256_set1_epi16(-1);
    where[g] = _mm256_setzero_si256();
  }
  for (size_t k = 0; k < n_blocks; ++k) {
    __m256i block[kGroups];
    for (__m256i& v : block) v = _mm256_set1_epi16(-1);
    for (size_t j = k * kBlock, end = std::min(x.size(), j + kBlock); j < end; ++j) {
      const __m256i x0 = _mm256_set1_epi16(short(x[j])), x1 = _mm256_set1_epi16(short(x[j] >> 16)),
                    x2 = _mm256_set1_epi16(short(x[j] >> 32)), x3 = _mm256_set1_epi16(short(x[j] >> 48));
      asm volatile("" : "+r"(constants));  // or all of them are copied to the stack for each block
#pragma GCC unroll 7
      for (int g = 0; g < kGroups; ++g) {
        const auto load = [half = 16 * (g % 2)](const uint16_t* v) __attribute__((target("avx2"))) {
          return _mm256_load_si256(reinterpret_cast<const __m256i*>(v + half));
        };
        const MinhashSigner::Parts& c = constants[g / 2];
        const __m256i a0 = load(c.a[0]), a1 = load(c.a[1]), a2 = load(c.a[2]), a3 = load(c.a[3]);
        const __m256i low = _mm256_add_epi16(_mm256_add_epi16(_mm256_mullo_epi16(a0, x3), _mm256_mullo_epi16(a1, x2)),
                                             _mm256_add_epi16(_mm256_mullo_epi16(a2, x1), _mm256_mullo_epi16(a3, x0)));
        const __m256i high = _mm256_add_epi16(_mm256_add_epi16(_mm256_mulhi_epu16(a0, x2), _mm256_mulhi_epu16(a1, x1)),
                                              _mm256_add_epi16(_mm256_mulhi_epu16(a2, x0), load(c.b)));
        block[g] = _mm256_min_epu16(block[g], _mm256_add_epi16(low, high));
      }
    }
    const __m256i here = _mm256_set1_epi16(short(k));
    for (int g = 0; g < kGroups; ++g) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(&look.blocks[k * look.lanes + from + 16 * size_t(g)]), block[g]);
      second[g] = _mm256_min_epu16(second[g], _mm256_max_epu16(least[g], block[g]));
      const __m256i stays = _mm256_cmpeq_epi16(_mm256_min_epu16(least[g], block[g]), least[g]);
      where[g] = _mm256_blendv_epi8(here, where[g], stays);
      least[g] = _mm256_min_epu16(least[g], block[g]);
    }
  }
  for (int g = 0; g < kGroups; ++g) {
    const size_t at = from + 16 * size_t(g);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(&look.second[at]), second[g]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(&look.where[at]), where[g]);
  }
}

template <int kGroups>
__attribute__((target("avx512f,avx512bw"))) void look_avx512(std::span<const uint64_t> x, std::span<const MinhashSigner::Parts> parts,
                                                             size_t from, Look& look) {
  const size_t n_blocks = (x.size() + kBlock - 1) / kBlock;
  const MinhashSigner::Parts* constants = parts.data() + from / kLanes;
  __m512i least[kGroups], second[kGroups], where[kGroups];
  for (int g = 0; g < kGroups; ++g) {
    least[g] = second[g] = _mm512_set1_epi16(-1);
    where[g] = _mm512_setzero_si512();
  }
  for (size_t k = 0; k < n_blocks; ++k) {
    __m512i block[kGroups];
    for (__m512i& v : block) v = _mm512_set1_epi16(-1);
    for (size_t j = k * kBlock, end = std::min(x.size(), j + kBlock); j < end; ++j) {
      const __m512i x0 = _mm512_set1_epi16(short(x[j])), x1 = _mm512_set1_epi16(short(x[j] >> 16)),
                    x2 = _mm512_set1_epi16(short(x[j] >> 32)), x3 = _mm512_set1_epi16(short(x[j] >> 48));
      asm volatile("" : "+r"(constants));
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) {
        const MinhashSigner::Parts& c = constants[g];
        const __m512i a0 = _mm512_load_si512(c.a[0]), a1 = _mm512_load_si512(c.a[1]), a2 = _mm512_load_si512(c.a[2]),
                      a3 = _mm512_load_si512(c.a[3]);
        const __m512i low = _mm512_add_epi16(_mm512_add_epi16(_mm512_mullo_epi16(a0, x3), _mm512_mullo_epi16(a1, x2)),
                                             _mm512_add_epi16(_mm512_mullo_epi16(a2, x1), _mm512_mullo_epi16(a3, x0)));
        const __m512i high = _mm512_add_epi16(_mm512_add_epi16(_mm512_mulhi_epu16(a0, x2), _mm512_mulhi_epu16(a1, x1)),
                                              _mm512_add_epi16(_mm512_mulhi_epu16(a2, x0), _mm512_load_si512(c.b)));
        block[g] = _mm512_min_epu16(block[g], _mm512_add_epi16(low, high));
      }
    }
    const __m512i here = _mm512_set1_epi16(short(k));
    for (int g = 0; g < kGroups; ++g) {
      _mm512_storeu_si512(&look.blocks[k * look.lanes + from + 32 * size_t(g)], block[g]);
      second[g] = _mm512_min_epu16(second[g], _mm512_max_epu16(least[g], block[g]));
      where[g] = _mm512_mask_mov_epi16(where[g], _mm512_cmplt_epu16_mask(block[g], least[g]), here);
      least[g] = _mm512_min_epu16(least[g], block[g]);
    }
  }
  for (int g = 0; g < kGroups; ++g) {
    const size_t at = from + 32 * size_t(g);
    _mm512_storeu_si512(&look.second[at], second[g]);
    _mm512_storeu_si512(&look.where[at], where[g]);
  }
}

// Datatrove's 112 permutations are seven vectors of AVX2, as many as the registers hold, or four of AVX-512.
void look_at(std::span<const uint64_t> x, std::span<const MinhashSigner::Parts> parts, bool avx512, size_t permutations, Look& look) {
  size_t from = 0;
  if (avx512) {
    for (; from + 96 < permutations; from += 128) look_avx512<4>(x, parts, from, look);
    for (; from < permutations; from += 32) look_avx512<1>(x, parts, from, look);
  } else if (permutations == 112) {
    look_avx2<7>(x, parts, 0, look);
  } else {
    for (; from + 32 < permutations; from += 64) look_avx2<4>(x, parts, from, look);
    for (; from < permutations; from += 32) look_avx2<2>(x, parts, from, look);
  }
}

#endif

}  // namespace

MinhashSigner::MinhashSigner(int64_t permutations, uint64_t seed, int64_t bits) : bits_(bits) {
  if (permutations < 1 || permutations > 4096) fail_usage("[minhash] ", permutations, " hashes: 1 to 4096 are taken");
  if (seed > UINT32_MAX) fail_usage("[minhash] the seed is a number below 2^32, got ", seed);
  if (bits != 32 && bits != 64) fail_usage("[minhash] hashes have 32 or 64 bits, not ", bits);
  std::mt19937 random{uint32_t(seed)};
  a_.resize(size_t(permutations));
  b_.resize(size_t(permutations));
  for (uint64_t& a : a_) a = draw(random, 1, kPrime - 2);
  for (uint64_t& b : b_) b = draw(random, 0, kPrime - 1);
  parts_.resize((a_.size() + 96 + 31) / 32);  // look_at() goes less than 96 permutations further
  for (size_t i = 0; i < a_.size(); ++i) {
    for (int k = 0; k < 4; ++k) parts_[i / 32].a[k][i % 32] = uint16_t(8 * a_[i] >> 16 * k);
    parts_[i / 32].b[i % 32] = uint16_t(((8 * b_[i] + 64) >> 48) + kCarry);
  }
}

bool MinhashSigner::can_sign_with(SignWith with) {
#if defined(__x86_64__)
  if (with == SignWith::kAvx2) return __builtin_cpu_supports("avx2");
  if (with == SignWith::kAvx512) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
#endif
  return with == SignWith::kPlain || with == SignWith::kBest;
}

void MinhashSigner::sign(std::span<const uint64_t> shingles, uint64_t* signature, SignWith with) const {
  check(!shingles.empty(), "[minhash] no shingle to sign");
#if defined(__x86_64__)
  static const bool avx512 = can_sign_with(SignWith::kAvx512), avx2 = can_sign_with(SignWith::kAvx2);
  if (with == SignWith::kBest) with = avx512 ? SignWith::kAvx512 : avx2 ? SignWith::kAvx2 : SignWith::kPlain;
  if (bits_ == 64 && with != SignWith::kPlain) {
    // Blocks have numbers of 16 bits: of more shingles, the least of each part.
    constexpr size_t kMost = kBlock << 16;
    thread_local Look look;  // working space
    thread_local std::vector<uint64_t> more;
    for (size_t begin = 0; begin < shingles.size(); begin += kMost) {
      const auto part = shingles.subspan(begin, std::min(kMost, shingles.size() - begin));
      look.make_room((part.size() + kBlock - 1) / kBlock, kLanes * parts_.size());
      look_at(part, parts_, with == SignWith::kAvx512, a_.size(), look);
      if (begin == 0) {
        resolve(part, look, a_, b_, signature);
        continue;
      }
      more.resize(a_.size());
      resolve(part, look, a_, b_, more.data());
      for (size_t i = 0; i < a_.size(); ++i) signature[i] = std::min(signature[i], more[i]);
    }
    return;
  }
#endif
  sign_plain(shingles, a_, b_, bits_ == 32 ? UINT32_MAX : UINT64_MAX, signature);
}

}  // namespace r1::corpus
