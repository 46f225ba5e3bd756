// Sixteen float lanes, the same arithmetic on every instruction set: one zmm, two ymm, or float[16].
// Included only by *.simd.cc, which CMake compiles once per set with R1_SIMD_<SET> defined. Everything here has internal linkage, and no
// std:: template is used in those files: an inline function compiled for AVX-512 must not be the copy that the linker keeps for everybody.
// Contract: each operation is one IEEE operation per lane (fma is fused on all sets), reductions use one fixed tree, max/min are (a > b ? a
// : b) and (a < b ? a : b) as in x86, exp and log are the polynomials below. Hence all sets agree bit for bit (NaN payloads apart).
#pragma once

#include <stdint.h>

#include "r1/kernels/cpu/isa.h"

#if defined(R1_SIMD_AVX512) || defined(R1_SIMD_AVX2)
#include <immintrin.h>
#endif

#define R1_INLINE inline __attribute__((always_inline))

namespace r1::kernels {
namespace {

using bf16 = uint16_t;  // the storage of a bfloat16

R1_INLINE uint32_t float_bits(float x) {
  return __builtin_bit_cast(uint32_t, x);
}
R1_INLINE float bits_float(uint32_t x) {
  return __builtin_bit_cast(float, x);
}
R1_INLINE int64_t min_of(int64_t a, int64_t b) {
  return a < b ? a : b;
}
R1_INLINE int64_t max_of(int64_t a, int64_t b) {
  return a > b ? a : b;
}
R1_INLINE int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
R1_INLINE int64_t round_up(int64_t a, int64_t b) {
  return ceil_div(a, b) * b;
}
R1_INLINE float fma1(float a, float b, float c) {
  return __builtin_fmaf(a, b, c);
}

inline constexpr int kLanes = 16;

#if defined(R1_SIMD_AVX512)

inline constexpr Isa kIsa = Isa::kAvx512;

struct F16 {
  __m512 v;
};
struct Mask {
  __mmask16 m;
};

R1_INLINE Mask mask_first(int64_t n) {
  return {__mmask16(n >= 16 ? 0xFFFFu : n <= 0 ? 0u : (1u << n) - 1)};
}
R1_INLINE F16 zero() {
  return {_mm512_setzero_ps()};
}
R1_INLINE F16 set1(float x) {
  return {_mm512_set1_ps(x)};
}
R1_INLINE F16 load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
R1_INLINE F16 load_n(const float* p, int64_t n) {
  return {_mm512_maskz_loadu_ps(mask_first(n).m, p)};
}
R1_INLINE void store(float* p, F16 a) {
  _mm512_storeu_ps(p, a.v);
}
R1_INLINE void store_n(float* p, F16 a, int64_t n) {
  _mm512_mask_storeu_ps(p, mask_first(n).m, a.v);
}
R1_INLINE F16 operator+(F16 a, F16 b) {
  return {_mm512_add_ps(a.v, b.v)};
}
R1_INLINE F16 operator-(F16 a, F16 b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
R1_INLINE F16 operator*(F16 a, F16 b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
R1_INLINE F16 operator/(F16 a, F16 b) {
  return {_mm512_div_ps(a.v, b.v)};
}
R1_INLINE F16 fma(F16 a, F16 b, F16 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
R1_INLINE F16 fnma(F16 a, F16 b, F16 c) {
  return {_mm512_fnmadd_ps(a.v, b.v, c.v)};
}
R1_INLINE F16 max(F16 a, F16 b) {
  return {_mm512_max_ps(a.v, b.v)};
}
R1_INLINE F16 min(F16 a, F16 b) {
  return {_mm512_min_ps(a.v, b.v)};
}
R1_INLINE F16 sqrt(F16 a) {
  return {_mm512_sqrt_ps(a.v)};
}
R1_INLINE F16 round(F16 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
R1_INLINE Mask operator<(F16 a, F16 b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
}
R1_INLINE Mask operator&(Mask a, Mask b) {
  return {__mmask16(a.m & b.m)};
}
R1_INLINE Mask operator|(Mask a, Mask b) {
  return {__mmask16(a.m | b.m)};
}
R1_INLINE Mask and_not(Mask a, Mask b) {
  return {__mmask16(a.m & ~b.m)};
}
R1_INLINE F16 select(Mask m, F16 a, F16 b) {
  return {_mm512_mask_blend_ps(m.m, b.v, a.v)};
}
// 2^n for integral n in [-127, 127] (2^-127 becomes 0).
R1_INLINE F16 pow2(F16 n) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127)), 23))};
}
// x = mantissa * 2^exponent with mantissa in [1, 2), for normal positive x.
R1_INLINE void split(F16 x, F16& mantissa, F16& exponent) {
  const __m512i bits = _mm512_castps_si512(x.v);
  exponent.v = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_srli_epi32(bits, 23), _mm512_set1_epi32(127)));
  mantissa.v = _mm512_castsi512_ps(_mm512_or_si512(_mm512_and_si512(bits, _mm512_set1_epi32(0x007FFFFF)), _mm512_set1_epi32(0x3F800000)));
}
R1_INLINE F16 abs(F16 a) {
  return {_mm512_abs_ps(a.v)};
}
R1_INLINE F16 from_bits(__m256i h) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16))};
}
R1_INLINE F16 load(const bf16* p) {
  return from_bits(_mm256_loadu_si256((const __m256i*)p));
}
R1_INLINE F16 load_n(const bf16* p, int64_t n) {
  return from_bits(_mm256_maskz_loadu_epi16(mask_first(n).m, p));
}
R1_INLINE __m256i narrow(F16 a) {
  const __m512i x = _mm512_castps_si512(a.v), high = _mm512_srli_epi32(x, 16);
  const __m512i rounded =
      _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(x, _mm512_set1_epi32(0x7FFF)), _mm512_and_si512(high, _mm512_set1_epi32(1))), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_mask_or_epi32(rounded, nan, high, _mm512_set1_epi32(0x40)));
}
R1_INLINE void store(bf16* p, F16 a) {
  _mm256_storeu_si256((__m256i*)p, narrow(a));
}
R1_INLINE void store_n(bf16* p, F16 a, int64_t n) {
  _mm256_mask_storeu_epi16(p, mask_first(n).m, narrow(a));
}

R1_INLINE F16 load(const int8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p)))};
}

// A lane as a pair of bf16: its upper and its lower half as floats.
R1_INLINE F16 upper_bf16(F16 a) {
  return {_mm512_and_ps(a.v, _mm512_castsi512_ps(_mm512_set1_epi32(int(0xFFFF0000))))};
}
R1_INLINE F16 lower_bf16(F16 a) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a.v), 16))};
}

R1_INLINE float reduce4_add(__m128 x) {
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}
R1_INLINE float reduce4_max(__m128 x) {
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps(x, x, 1)));
}
R1_INLINE float reduce_add(F16 a) {
  const __m256 x = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  return reduce4_add(_mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1)));
}
R1_INLINE float reduce_max(F16 a) {
  const __m256 x = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  return reduce4_max(_mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1)));
}

// r[i] lane j  <->  r[j] lane i.
R1_INLINE void transpose(F16 (&r)[16]) {
  __m512 t[16], u[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_ps(r[2 * i].v, r[2 * i + 1].v);
    t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i].v, r[2 * i + 1].v);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {  // u[4i+c]: column c of each 128-bit lane, rows 4i..4i+3
    u[4 * i] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    u[4 * i + 1] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0xEE);
    u[4 * i + 2] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    u[4 * i + 3] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xEE);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512 a = _mm512_shuffle_f32x4(u[c], u[4 + c], 0x88), b = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0x88);
    const __m512 d = _mm512_shuffle_f32x4(u[c], u[4 + c], 0xDD), e = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0xDD);
    r[c].v = _mm512_shuffle_f32x4(a, b, 0x88);
    r[4 + c].v = _mm512_shuffle_f32x4(d, e, 0x88);
    r[8 + c].v = _mm512_shuffle_f32x4(a, b, 0xDD);
    r[12 + c].v = _mm512_shuffle_f32x4(d, e, 0xDD);
  }
}

#elif defined(R1_SIMD_AVX2)

inline constexpr Isa kIsa = Isa::kAvx2;

struct F16 {
  __m256 a, b;
};
struct Mask {
  __m256 a, b;
};

R1_INLINE __m256 mask8(int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n > 8 ? 8 : n < 0 ? 0 : int(n)), lane));
}
R1_INLINE Mask mask_first(int64_t n) {
  return {mask8(n), mask8(n - 8)};
}
R1_INLINE __m256 load8(const float* p) {
  return _mm256_loadu_ps(p);
}
R1_INLINE __m256 load8_n(const float* p, int64_t n) {
  return _mm256_maskload_ps(p, _mm256_castps_si256(mask8(n)));
}
R1_INLINE F16 zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
R1_INLINE F16 set1(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
R1_INLINE F16 load(const float* p) {
  return {load8(p), load8(p + 8)};
}
// Masked stores take tens of cycles on AVX2 machines, so halves that are whole are stored whole.
R1_INLINE F16 load_n(const float* p, int64_t n) {
  if (n >= 16) return load(p);
  return {load8_n(p, n), load8_n(p + 8, n - 8)};
}
R1_INLINE void store(float* p, F16 x) {
  _mm256_storeu_ps(p, x.a), _mm256_storeu_ps(p + 8, x.b);
}
R1_INLINE void store8_n(float* p, __m256 x, int64_t n) {
  if (n >= 8) return _mm256_storeu_ps(p, x);
  if (n > 0) _mm256_maskstore_ps(p, _mm256_castps_si256(mask8(n)), x);
}
R1_INLINE void store_n(float* p, F16 x, int64_t n) {
  store8_n(p, x.a, n), store8_n(p + 8, x.b, n - 8);
}
R1_INLINE F16 operator+(F16 x, F16 y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
R1_INLINE F16 operator-(F16 x, F16 y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
R1_INLINE F16 operator*(F16 x, F16 y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
R1_INLINE F16 operator/(F16 x, F16 y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
R1_INLINE F16 fma(F16 x, F16 y, F16 z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
R1_INLINE F16 fnma(F16 x, F16 y, F16 z) {
  return {_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)};
}
R1_INLINE F16 max(F16 x, F16 y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
R1_INLINE F16 min(F16 x, F16 y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
R1_INLINE F16 sqrt(F16 x) {
  return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)};
}
R1_INLINE F16 round(F16 x) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(x.a, kNearest), _mm256_round_ps(x.b, kNearest)};
}
R1_INLINE Mask operator<(F16 x, F16 y) {
  return {_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)};
}
R1_INLINE Mask operator&(Mask x, Mask y) {
  return {_mm256_and_ps(x.a, y.a), _mm256_and_ps(x.b, y.b)};
}
R1_INLINE Mask operator|(Mask x, Mask y) {
  return {_mm256_or_ps(x.a, y.a), _mm256_or_ps(x.b, y.b)};
}
R1_INLINE Mask and_not(Mask x, Mask y) {
  return {_mm256_andnot_ps(y.a, x.a), _mm256_andnot_ps(y.b, x.b)};
}
R1_INLINE F16 select(Mask m, F16 x, F16 y) {
  return {_mm256_blendv_ps(y.a, x.a, m.a), _mm256_blendv_ps(y.b, x.b, m.b)};
}
R1_INLINE __m256 pow2_8(__m256 n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
R1_INLINE F16 pow2(F16 n) {
  return {pow2_8(n.a), pow2_8(n.b)};
}
R1_INLINE void split8(__m256 x, __m256& mantissa, __m256& exponent) {
  const __m256i bits = _mm256_castps_si256(x);
  exponent = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(127)));
  mantissa = _mm256_castsi256_ps(_mm256_or_si256(_mm256_and_si256(bits, _mm256_set1_epi32(0x007FFFFF)), _mm256_set1_epi32(0x3F800000)));
}
R1_INLINE void split(F16 x, F16& mantissa, F16& exponent) {
  split8(x.a, mantissa.a, exponent.a), split8(x.b, mantissa.b, exponent.b);
}
R1_INLINE F16 abs(F16 x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
R1_INLINE __m256 widen8(__m128i h) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
R1_INLINE __m256 load8(const bf16* p) {
  return widen8(_mm_loadu_si128((const __m128i*)p));
}
R1_INLINE __m256 load8_n(const bf16* p, int64_t n) {
  bf16 lanes[8] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load8(lanes);
}
R1_INLINE F16 load(const bf16* p) {
  return {load8(p), load8(p + 8)};
}
R1_INLINE F16 load_n(const bf16* p, int64_t n) {
  if (n >= 16) return load(p);
  bf16 lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
R1_INLINE __m256i narrow8(__m256 a) {
  const __m256i x = _mm256_castps_si256(a), high = _mm256_srli_epi32(x, 16);
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(x, _mm256_set1_epi32(0x7FFF)), _mm256_and_si256(high, _mm256_set1_epi32(1))), 16);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(rounded, _mm256_or_si256(high, _mm256_set1_epi32(0x40)), nan);
}
R1_INLINE void store(bf16* p, F16 x) {
  const __m256i packed = _mm256_packus_epi32(narrow8(x.a), narrow8(x.b));
  _mm256_storeu_si256((__m256i*)p, _mm256_permute4x64_epi64(packed, 0xD8));
}
R1_INLINE void store_n(bf16* p, F16 x, int64_t n) {
  if (n >= 16) return store(p, x);
  bf16 lanes[16];
  store(lanes, x);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}
R1_INLINE __m256 load8(const int8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p)));
}
R1_INLINE F16 load(const int8_t* p) {
  return {load8(p), load8(p + 8)};
}
R1_INLINE F16 upper_bf16(F16 x) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(int(0xFFFF0000)));
  return {_mm256_and_ps(x.a, mask), _mm256_and_ps(x.b, mask)};
}
R1_INLINE F16 lower_bf16(F16 x) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x.a), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x.b), 16))};
}
R1_INLINE float reduce4_add(__m128 x) {
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}
R1_INLINE float reduce4_max(__m128 x) {
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps(x, x, 1)));
}
R1_INLINE float reduce_add(F16 x) {
  const __m256 s = _mm256_add_ps(x.a, x.b);
  return reduce4_add(_mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}
R1_INLINE float reduce_max(F16 x) {
  const __m256 s = _mm256_max_ps(x.a, x.b);
  return reduce4_max(_mm_max_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}

R1_INLINE void transpose8(__m256 (&r)[8]) {
  __m256 t[8], u[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    u[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    u[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xEE);
    u[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    u[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xEE);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    r[c] = _mm256_permute2f128_ps(u[c], u[4 + c], 0x20);
    r[4 + c] = _mm256_permute2f128_ps(u[c], u[4 + c], 0x31);
  }
}
R1_INLINE void transpose(F16 (&r)[16]) {
  __m256 q[4][8];
  for (int i = 0; i < 8; ++i) q[0][i] = r[i].a, q[1][i] = r[i].b, q[2][i] = r[8 + i].a, q[3][i] = r[8 + i].b;
  for (auto& block : q) transpose8(block);
  for (int i = 0; i < 8; ++i) r[i] = {q[0][i], q[2][i]}, r[8 + i] = {q[1][i], q[3][i]};
}

#else

inline constexpr Isa kIsa = Isa::kScalar;

struct F16 {
  float v[16];
};
struct Mask {
  bool m[16];
};

template <class F>
R1_INLINE F16 each(F f) {
  F16 r;
  for (int i = 0; i < 16; ++i) r.v[i] = f(i);
  return r;
}
template <class F>
R1_INLINE Mask each_mask(F f) {
  Mask r;
  for (int i = 0; i < 16; ++i) r.m[i] = f(i);
  return r;
}

R1_INLINE Mask mask_first(int64_t n) {
  return each_mask([&](int i) { return i < n; });
}
R1_INLINE F16 zero() {
  return each([](int) { return 0.0f; });
}
R1_INLINE F16 set1(float x) {
  return each([&](int) { return x; });
}
R1_INLINE F16 load(const float* p) {
  return each([&](int i) { return p[i]; });
}
R1_INLINE F16 load_n(const float* p, int64_t n) {
  return each([&](int i) { return i < n ? p[i] : 0.0f; });
}
R1_INLINE void store(float* p, const F16& a) {
  for (int i = 0; i < 16; ++i) p[i] = a.v[i];
}
R1_INLINE void store_n(float* p, const F16& a, int64_t n) {
  for (int i = 0; i < 16 && i < n; ++i) p[i] = a.v[i];
}
R1_INLINE F16 operator+(const F16& a, const F16& b) {
  return each([&](int i) { return a.v[i] + b.v[i]; });
}
R1_INLINE F16 operator-(const F16& a, const F16& b) {
  return each([&](int i) { return a.v[i] - b.v[i]; });
}
R1_INLINE F16 operator*(const F16& a, const F16& b) {
  return each([&](int i) { return a.v[i] * b.v[i]; });
}
R1_INLINE F16 operator/(const F16& a, const F16& b) {
  return each([&](int i) { return a.v[i] / b.v[i]; });
}
R1_INLINE F16 fma(const F16& a, const F16& b, const F16& c) {
  return each([&](int i) { return fma1(a.v[i], b.v[i], c.v[i]); });
}
R1_INLINE F16 fnma(const F16& a, const F16& b, const F16& c) {
  return each([&](int i) { return fma1(-a.v[i], b.v[i], c.v[i]); });
}
R1_INLINE F16 max(const F16& a, const F16& b) {
  return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
R1_INLINE F16 min(const F16& a, const F16& b) {
  return each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
R1_INLINE F16 sqrt(const F16& a) {
  return each([&](int i) { return __builtin_sqrtf(a.v[i]); });
}
R1_INLINE F16 round(const F16& a) {
  return each([&](int i) { return __builtin_rintf(a.v[i]); });
}
R1_INLINE Mask operator<(const F16& a, const F16& b) {
  return each_mask([&](int i) { return a.v[i] < b.v[i]; });
}
R1_INLINE Mask operator&(const Mask& a, const Mask& b) {
  return each_mask([&](int i) { return a.m[i] && b.m[i]; });
}
R1_INLINE Mask operator|(const Mask& a, const Mask& b) {
  return each_mask([&](int i) { return a.m[i] || b.m[i]; });
}
R1_INLINE Mask and_not(const Mask& a, const Mask& b) {
  return each_mask([&](int i) { return a.m[i] && !b.m[i]; });
}
R1_INLINE F16 select(const Mask& m, const F16& a, const F16& b) {
  return each([&](int i) { return m.m[i] ? a.v[i] : b.v[i]; });
}
R1_INLINE F16 pow2(const F16& n) {
  return each([&](int i) {
    const int32_t e = n.v[i] > -1e9f && n.v[i] < 1e9f ? int32_t(n.v[i]) : -127;
    return bits_float(uint32_t(e + 127) << 23);
  });
}
R1_INLINE void split(const F16& x, F16& mantissa, F16& exponent) {
  exponent = each([&](int i) { return float(int32_t(float_bits(x.v[i]) >> 23) - 127); });
  mantissa = each([&](int i) { return bits_float((float_bits(x.v[i]) & 0x007FFFFF) | 0x3F800000); });
}
R1_INLINE F16 abs(const F16& a) {
  return each([&](int i) { return __builtin_fabsf(a.v[i]); });
}
R1_INLINE F16 load(const bf16* p) {
  return each([&](int i) { return bits_float(uint32_t(p[i]) << 16); });
}
R1_INLINE F16 load_n(const bf16* p, int64_t n) {
  return each([&](int i) { return i < n ? bits_float(uint32_t(p[i]) << 16) : 0.0f; });
}
R1_INLINE bf16 narrow(float a) {
  const uint32_t x = float_bits(a);
  if (a != a) return bf16((x >> 16) | 0x40);
  return bf16((x + 0x7FFF + ((x >> 16) & 1)) >> 16);
}
R1_INLINE void store_n(bf16* p, const F16& a, int64_t n) {
  for (int i = 0; i < 16 && i < n; ++i) p[i] = narrow(a.v[i]);
}
R1_INLINE void store(bf16* p, const F16& a) {
  store_n(p, a, 16);
}
R1_INLINE F16 load(const int8_t* p) {
  return each([&](int i) { return float(p[i]); });
}
R1_INLINE F16 upper_bf16(const F16& a) {
  return each([&](int i) { return bits_float(float_bits(a.v[i]) & 0xFFFF0000); });
}
R1_INLINE F16 lower_bf16(const F16& a) {
  return each([&](int i) { return bits_float(float_bits(a.v[i]) << 16); });
}
R1_INLINE float reduce_add(F16 a) {
  for (int half = 8; half; half /= 2)
    for (int i = 0; i < half; ++i) a.v[i] = a.v[i] + a.v[i + half];
  return a.v[0];
}
R1_INLINE float reduce_max(F16 a) {
  for (int half = 8; half; half /= 2)
    for (int i = 0; i < half; ++i) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
  return a.v[0];
}
R1_INLINE void transpose(F16 (&r)[16]) {
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < i; ++j) {
      const float t = r[i].v[j];
      r[i].v[j] = r[j].v[i], r[j].v[i] = t;
    }
}

#endif

// Four running sums over a row in steps of 64, then over what is left in steps of 16: the fixed order of every sum over a row.
// term(i, n) is the vector of the n <= 16 terms from i, zero beyond.
template <class Term>
R1_INLINE float sum_row(int64_t count, Term term) {
  F16 s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
  int64_t i = 0;
  for (; i + 64 <= count; i += 64) {
    s0 = s0 + term(i, 16), s1 = s1 + term(i + 16, 16);
    s2 = s2 + term(i + 32, 16), s3 = s3 + term(i + 48, 16);
  }
  for (; i < count; i += 16) s0 = s0 + term(i, count - i < 16 ? count - i : 16);
  return reduce_add((s0 + s1) + (s2 + s3));
}

// e^x: 0 below -86.6, infinity above 88.72, NaN for NaN; error below 1.5 ulp between. Degree-6 Taylor on |r| <= ln2/2 after Cody-Waite
// reduction.
R1_INLINE F16 exp(F16 x) {
  const F16 y = min(set1(89.0f), max(set1(-86.6f), x));  // constants first: x is kept when it is NaN
  const F16 n = round(y * set1(1.44269504f));
  const F16 r = fnma(n, set1(-2.12194440e-4f), fnma(n, set1(0.693359375f), y));
  F16 p = set1(1.0f / 720);
  p = fma(p, r, set1(1.0f / 120));
  p = fma(p, r, set1(1.0f / 24));
  p = fma(p, r, set1(1.0f / 6));
  p = fma(p, r, set1(0.5f));
  p = fma(p * r, r, r) + set1(1.0f);
  const F16 result = p * pow2(n - set1(1.0f)) * set1(2.0f);  // in two steps: 2^128 is no float
  return select(x < set1(-86.6f), zero(), result);
}

// Natural logarithm of a positive normal x; 0 gives -infinity, a negative or NaN x gives NaN. Cephes' polynomial on [sqrt(1/2), sqrt(2)).
R1_INLINE F16 log(F16 x) {
  const float kInf = __builtin_inff();
  F16 m, e;
  split(x, m, e);
  const Mask small = m < set1(1.41421356f);
  const F16 f = select(small, m, m * set1(0.5f)) - set1(1.0f);
  const F16 n = select(small, e, e + set1(1.0f));
  F16 p = set1(7.0376836292e-2f);
  p = fma(p, f, set1(-1.1514610310e-1f));
  p = fma(p, f, set1(1.1676998740e-1f));
  p = fma(p, f, set1(-1.2420140846e-1f));
  p = fma(p, f, set1(1.4249322787e-1f));
  p = fma(p, f, set1(-1.6668057665e-1f));
  p = fma(p, f, set1(2.0000714765e-1f));
  p = fma(p, f, set1(-2.4999993993e-1f));
  p = fma(p, f, set1(3.3333331174e-1f));
  const F16 f2 = f * f;
  F16 y = p * f * f2;
  y = fma(n, set1(-2.12194440e-4f), y);
  y = fnma(set1(0.5f), f2, y);
  const F16 result = fma(n, set1(0.693359375f), f + y);
  const F16 special = select(x < zero(), set1(__builtin_nanf("")), select(zero() < x, select(x < set1(kInf), result, x), x + set1(-kInf)));
  return special;
}

R1_INLINE float first_lane(const F16& a) {
  float lanes[16];
  store(lanes, a);
  return lanes[0];
}
R1_INLINE float exp1(float x) {
  return first_lane(exp(set1(x)));
}
R1_INLINE float log1(float x) {
  return first_lane(log(set1(x)));
}
R1_INLINE F16 sigmoid(F16 x) {
  return set1(1.0f) / (set1(1.0f) + exp(zero() - x));
}
R1_INLINE F16 tanh(F16 x) {
  const F16 e = exp(x + x);
  return select(x < set1(20.0f), (e - set1(1.0f)) / (e + set1(1.0f)), set1(1.0f));
}

}  // namespace
}  // namespace r1::kernels
