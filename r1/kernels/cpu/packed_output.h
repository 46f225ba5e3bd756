// What products with packed weights share: their way out, and the rounding of x to 8 bits. Only for packed_*.simd.cc.
#pragma once

#include "r1/kernels/cpu/rows_io.h"

namespace r1::kernels {
namespace {

inline constexpr float kLeastAmax = 0x1p-100f;

// y of R rows and one group of L rows of w, where they are wanted.
template <class Product, int R, int L>
R1_INLINE void put(const Product& a, int64_t row, int64_t group, const float (&y)[R][L]) {
  const int64_t column = group * L - a.first, begin = max_of(0, -column), count = min_of(L, a.out - column) - begin;
  const F16 bias = a.bias.data ? read(a.bias, 0, column + begin, count) : zero();
  for (int r = 0; r < R; ++r) {
    F16 v = load_n(y[r] + begin, count);
    if (a.bias.data) v = v + bias;
    write(a.y, row + r, column + begin, count, v);
  }
}

// Whole numbers of at most 128 to bytes.
#if defined(R1_SIMD_AVX512)
R1_INLINE void store_bytes(int8_t* p, F16 x) {
  _mm_storeu_si128((__m128i*)p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x.v)));
}
#elif defined(R1_SIMD_AVX2)
R1_INLINE void store_bytes(int8_t* p, F16 x) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)), 0xD8);
  _mm_storeu_si128((__m128i*)p, _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}
#else
R1_INLINE void store_bytes(int8_t* p, const F16& x) {
  for (int i = 0; i < 16; ++i) p[i] = int8_t(x.v[i]);
}
#endif

#if defined(R1_SIMD_AVX512) || defined(R1_SIMD_AVX2)
R1_INLINE int32_t sum_of_16(const int8_t* p) {
  const __m128i pairs = _mm_maddubs_epi16(_mm_set1_epi8(1), _mm_loadu_si128((const __m128i*)p));
  __m128i sum = _mm_madd_epi16(pairs, _mm_set1_epi16(1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1)));
}
#else
R1_INLINE int32_t sum_of_16(const int8_t* p) {
  int32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum += p[i];
  return sum;
}
#endif

// The largest magnitude of x[k, k + elements) of a row, or NaN where one of them is no finite number. `elements` a multiple of 16.
R1_INLINE float amax_of(const ConstRows& x, int64_t row, int64_t k, int64_t elements) {
  F16 most = zero(), bad = zero();
  for (int64_t i = 0; i < elements; i += kLanes) {
    const F16 v = read(x, row, k + i, kLanes);
    most = max(most, abs(v));
    bad = bad + v * zero();  // NaN from an infinity or a NaN
  }
  return reduce_add(bad) == 0 ? reduce_max(most) : __builtin_nanf("");
}

// A block of x to `quants`; returns its scale.
R1_INLINE float quantize_block(const ConstRows& x, int64_t row, int64_t k, int64_t elements, int8_t* quants) {
  const float amax = amax_of(x, row, k, elements);
  const bool fine = amax == amax, counts = fine && amax >= kLeastAmax;
  const F16 inverse = set1(counts ? 127.0f / amax : 0.0f);
  for (int64_t i = 0; i < elements; i += kLanes) store_bytes(quants + i, counts ? round(read(x, row, k + i, kLanes) * inverse) : zero());
  return fine ? counts ? amax / 127.0f : 0.0f : __builtin_nanf("");
}

}  // namespace
}  // namespace r1::kernels
