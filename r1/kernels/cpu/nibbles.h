// Sixteen bytes as two vectors of numbers 0 to 15: their lower and their upper halves. Only for *.simd.cc.
#pragma once

#include "r1/kernels/cpu/simd.h"

namespace r1::kernels {
namespace {

#if defined(R1_SIMD_AVX512)
R1_INLINE F16 widened(__m128i x) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(x))};
}
#elif defined(R1_SIMD_AVX2)
R1_INLINE F16 widened(__m128i x) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(x)), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(x, 8)))};
}
#endif

R1_INLINE void load_halves(const uint8_t* p, F16& lower, F16& upper) {
#if defined(R1_SIMD_AVX512) || defined(R1_SIMD_AVX2)
  const __m128i x = _mm_loadu_si128((const __m128i*)p), mask = _mm_set1_epi8(15);
  lower = widened(_mm_and_si128(x, mask));
  upper = widened(_mm_and_si128(_mm_srli_epi16(x, 4), mask));
#else
  for (int i = 0; i < kLanes; ++i) lower.v[i] = float(p[i] & 15), upper.v[i] = float(p[i] >> 4);
#endif
}

}  // namespace
}  // namespace r1::kernels
