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
constexpr size_t kBlock = 8;     // shingles whose least upper bits are remembered together
constexpr size_t kPadding = 16;  // permutations in the widest vector

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

// Why a key of 32 bits is enough to find the candidates. With v = x a + b mod 2^64, m = v mod 2^61 and t = v >> 61 (at most 7), the value is
// w = m + t, less the prime if that is no less. u = 8 v + 64 mod 2^64 is 8 (m + 8), unless that wraps around, which it does wherever w does:
// so 8 w + 64 >= u for every x with a small w. The key is the upper half of 8 a x plus that of 8 b + 64 plus 1: the upper half of u plus
// 1, or plus 0 where the lower halves carry. Hence key(x) <= hi(8 w(x) + 64) + 1, and whoever has a value w in hand finds every better
// shingle among those with key <= hi(8 w + 64) + 1. (Some keys are small by wrapping although their values are not: they are only looked at in vain.)
uint32_t bound_of(uint64_t w) {
  const uint64_t most = w >= (UINT64_MAX - 64) / 8 ? UINT64_MAX : 8 * w + 64;
  return uint32_t(std::min<uint64_t>((most >> 32) + 1, UINT32_MAX));
}

// Goes over the blocks again with a bound that the first look was too low for: only where keys have wrapped around.
uint64_t look_again(std::span<const uint64_t> x, const std::vector<uint32_t>& blocks, size_t stride, size_t i, uint64_t a, uint64_t b,
                    uint64_t found) {
  for (uint32_t bound = bound_of(found);;) {
    for (size_t k = 0; k * kBlock < x.size(); ++k) {
      if (blocks[k * stride + i] > bound) continue;
      for (size_t j = k * kBlock; j < std::min(x.size(), (k + 1) * kBlock); ++j) found = std::min(found, value(x[j], a, b));
    }
    const uint32_t needed = bound_of(found);
    if (needed <= bound) return found;
    bound = needed;
  }
}

// The rest, once each block's least key is known: blocks[block * stride + i] for permutation i.
__attribute__((target("avx2"))) void resolve(std::span<const uint64_t> x, const std::vector<uint32_t>& blocks,
                                             const std::vector<uint32_t>& least, std::span<const uint64_t> a, std::span<const uint64_t> b,
                                             size_t stride, uint64_t* out) {
  const size_t n_blocks = (x.size() + kBlock - 1) / kBlock;
  for (size_t group = 0; group < a.size(); group += 8) {
    const __m256i lowest = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(&least[group]));
    // No less than `lowest`: where adding wraps around, everything is looked at.
    const __m256i raised = _mm256_add_epi32(lowest, _mm256_set1_epi32(2));
    const __m256i bound = _mm256_or_si256(raised, _mm256_cmpeq_epi32(_mm256_min_epu32(raised, _mm256_set1_epi32(1)), raised));
    uint64_t found[8];
    std::fill(found, found + 8, UINT64_MAX);
    for (size_t k = 0; k < n_blocks; ++k) {
      const __m256i keys = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(&blocks[k * stride + group]));
      auto near = unsigned(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_min_epu32(keys, bound), keys))));
      for (; near != 0; near &= near - 1) {
        const auto lane = size_t(__builtin_ctz(near)), i = group + lane;
        if (i >= a.size()) break;  // padding
        const size_t begin = k * kBlock, end = std::min(x.size(), begin + kBlock);
        uint64_t best = found[lane];
        for (size_t j = begin; j < end; ++j) best = std::min(best, value(x[j], a[i], b[i]));
        found[lane] = best;
      }
    }
    for (size_t lane = 0; lane < 8 && group + lane < a.size(); ++lane) {
      const size_t i = group + lane;
      const uint32_t bound_i = least[i] > UINT32_MAX - 2 ? UINT32_MAX : least[i] + 2;
      out[i] = bound_of(found[lane]) <= bound_i ? found[lane] : look_again(x, blocks, stride, i, a[i], b[i], found[lane]);
    }
  }
}

__attribute__((target("avx2"))) void least_avx2(std::span<const uint64_t> x, const MinhashSigner::Halves& h, std::vector<uint32_t>& blocks,
                                                std::vector<uint32_t>& least) {
  const size_t stride = h.a_low.size(), n_blocks = (x.size() + kBlock - 1) / kBlock;
  const int* const halves = reinterpret_cast<const int*>(x.data());  // lower first, straight from memory to all lanes
  for (size_t i = 0; i < stride; i += 8) {
    const __m256i a_low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(&h.a_low[i]));
    const __m256i a_high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(&h.a_high[i]));
    const __m256i b_high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(&h.b_high[i]));
    const __m256i a_odd = _mm256_srli_epi64(a_low, 32);
    __m256i all = _mm256_set1_epi32(-1);
    for (size_t k = 0; k < n_blocks; ++k) {
      const size_t end = std::min(x.size(), (k + 1) * kBlock);
      __m256i block = _mm256_set1_epi32(-1);
      for (size_t j = k * kBlock; j < end; ++j) {
        const __m256i low = _mm256_set1_epi32(halves[2 * j]), high = _mm256_set1_epi32(halves[2 * j + 1]);
        const __m256i even = _mm256_srli_epi64(_mm256_mul_epu32(a_low, low), 32), odd = _mm256_mul_epu32(a_odd, low);
        const __m256i cross = _mm256_add_epi32(_mm256_mullo_epi32(a_high, low), _mm256_mullo_epi32(a_low, high));
        const __m256i key = _mm256_add_epi32(_mm256_add_epi32(_mm256_blend_epi32(even, odd, 0xAA), b_high), cross);
        block = _mm256_min_epu32(block, key);
      }
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(&blocks[k * stride + i]), block);
      all = _mm256_min_epu32(all, block);
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(&least[i]), all);
  }
}

__attribute__((target("avx512f"))) void least_avx512(std::span<const uint64_t> x, const MinhashSigner::Halves& h,
                                                     std::vector<uint32_t>& blocks, std::vector<uint32_t>& least) {
  const size_t stride = h.a_low.size(), n_blocks = (x.size() + kBlock - 1) / kBlock;
  const int* const halves = reinterpret_cast<const int*>(x.data());  // lower first, straight from memory to all lanes
  for (size_t i = 0; i < stride; i += 16) {
    const __m512i a_low = _mm512_loadu_si512(&h.a_low[i]), a_high = _mm512_loadu_si512(&h.a_high[i]),
                  b_high = _mm512_loadu_si512(&h.b_high[i]);
    const __m512i a_odd = _mm512_srli_epi64(a_low, 32);
    __m512i all = _mm512_set1_epi32(-1);
    for (size_t k = 0; k < n_blocks; ++k) {
      const size_t end = std::min(x.size(), (k + 1) * kBlock);
      __m512i block = _mm512_set1_epi32(-1);
      for (size_t j = k * kBlock; j < end; ++j) {
        const __m512i low = _mm512_set1_epi32(halves[2 * j]), high = _mm512_set1_epi32(halves[2 * j + 1]);
        const __m512i even = _mm512_srli_epi64(_mm512_mul_epu32(a_low, low), 32), odd = _mm512_mul_epu32(a_odd, low);
        const __m512i cross = _mm512_add_epi32(_mm512_mullo_epi32(a_high, low), _mm512_mullo_epi32(a_low, high));
        const __m512i key = _mm512_add_epi32(_mm512_add_epi32(_mm512_mask_blend_epi32(0xAAAA, even, odd), b_high), cross);
        block = _mm512_min_epu32(block, key);
      }
      _mm512_storeu_si512(&blocks[k * stride + i], block);
      all = _mm512_min_epu32(all, block);
    }
    _mm512_storeu_si512(&least[i], all);
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
  const size_t padded = (a_.size() + kPadding - 1) / kPadding * kPadding;
  halves_.a_low.resize(padded);
  halves_.a_high.resize(padded);
  halves_.b_high.resize(padded);
  for (size_t i = 0; i < a_.size(); ++i) {
    const uint64_t a = 8 * a_[i], b = 8 * b_[i] + 64;
    halves_.a_low[i] = uint32_t(a);
    halves_.a_high[i] = uint32_t(a >> 32);
    halves_.b_high[i] = uint32_t(b >> 32) + 1;
  }
}

bool MinhashSigner::can_sign_with(SignWith with) {
#if defined(__x86_64__)
  if (with == SignWith::kAvx2) return __builtin_cpu_supports("avx2");
  if (with == SignWith::kAvx512) return __builtin_cpu_supports("avx512f");
#endif
  return with == SignWith::kPlain || with == SignWith::kBest;
}

void MinhashSigner::sign(std::span<const uint64_t> shingles, uint64_t* signature, SignWith with) const {
  check(!shingles.empty(), "[minhash] no shingle to sign");
#if defined(__x86_64__)
  static const bool avx512 = can_sign_with(SignWith::kAvx512), avx2 = can_sign_with(SignWith::kAvx2);
  if (with == SignWith::kBest) with = avx512 ? SignWith::kAvx512 : avx2 ? SignWith::kAvx2 : SignWith::kPlain;
  if (bits_ == 64 && with != SignWith::kPlain) {
    thread_local std::vector<uint32_t> blocks, least;  // working space
    const size_t stride = halves_.a_low.size();
    const size_t n_blocks = (shingles.size() + kBlock - 1) / kBlock;
    if (blocks.size() < n_blocks * stride) blocks.resize(n_blocks * stride);
    least.resize(stride);
    if (with == SignWith::kAvx512)
      least_avx512(shingles, halves_, blocks, least);
    else
      least_avx2(shingles, halves_, blocks, least);
    return resolve(shingles, blocks, least, a_, b_, stride, signature);
  }
#endif
  sign_plain(shingles, a_, b_, bits_ == 32 ? UINT32_MAX : UINT64_MAX, signature);
}

}  // namespace r1::corpus
