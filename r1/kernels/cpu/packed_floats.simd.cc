#include "r1/kernels/cpu/packed_floats.h"

#include "r1/kernels/cpu/packed_output.h"
#include "r1/kernels/cpu/tile.h"

namespace r1::kernels {
namespace {

constexpr int64_t kChain = 256;  // columns of one chain: gemm_f32's
#if defined(R1_SIMD_AVX512)
constexpr int kRows = 8;
#else
constexpr int kRows = 6;
#endif
// x of so many rows stays in the second cache while groups of w go by.
constexpr int64_t kBlockRows = 48;

// -- Sixteen values of w, widened -----------------------------------------------------------------------------------------------------

#if defined(R1_SIMD_AVX512)
R1_INLINE F16 from_halves(__m256i h) {
  return {_mm512_cvtph_ps(h)};
}
#elif defined(R1_SIMD_AVX2)
R1_INLINE F16 from_halves(__m256i h) {
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(h)), _mm256_cvtph_ps(_mm256_extracti128_si256(h, 1))};
}
#endif

template <FloatForm F>
R1_INLINE F16 widen(const uint8_t* p) {
  if constexpr (F == FloatForm::kF32) {
    return load((const float*)p);
  } else if constexpr (F == FloatForm::kBf16) {
    return load((const bf16*)p);
#if defined(R1_SIMD_AVX512) || defined(R1_SIMD_AVX2)
  } else if constexpr (F == FloatForm::kF16) {
    return from_halves(_mm256_loadu_si256((const __m256i*)p));
  } else {
    // As a half with the same exponent and fraction it is 2^-8 of the number, subnormal ones too.
    const __m256i bytes = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)p));
    const __m256i size = _mm256_slli_epi16(_mm256_and_si256(bytes, _mm256_set1_epi16(0x7F)), 7);
    const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(bytes, _mm256_set1_epi16(0x80)), 8);
    return from_halves(_mm256_or_si256(size, sign));
#else
  } else {
    float wide[16];
    for (int i = 0; i < 16; ++i) {
      const uint32_t h = F == FloatForm::kF16 ? ((const uint16_t*)p)[i] : uint32_t((p[i] & 0x7F) << 7 | (p[i] & 0x80) << 8);
      const uint32_t rest = (h & 0x7FFF) << 13;
      const float size = rest >= 0x0F800000 ? bits_float(rest + 0x70000000) : bits_float(rest) * 0x1p112f;  // infinity and NaN; others
      wide[i] = h & 0x8000 ? -size : size;
    }
    return load(wide);
#endif
  }
}

// -- Where the values of 2:4 stand ------------------------------------------------------------------------------------------------------

// Of each lane a number of two bits, step after step.
#if defined(R1_SIMD_AVX512)
struct Places {
  __m512i v;
  R1_INLINE explicit Places(const uint32_t* p) : v(_mm512_loadu_si512(p)) {}
  R1_INLINE void next() { v = _mm512_srli_epi32(v, 2); }
};
struct Four {
  __m512 v;
  R1_INLINE explicit Four(const float* p) : v(_mm512_broadcast_f32x4(_mm_loadu_ps(p))) {}
  R1_INLINE F16 at(const Places& places) const { return {_mm512_permutevar_ps(v, places.v)}; }
};
#elif defined(R1_SIMD_AVX2)
struct Places {
  __m256i a, b;
  R1_INLINE explicit Places(const uint32_t* p) : a(_mm256_loadu_si256((const __m256i*)p)), b(_mm256_loadu_si256((const __m256i*)(p + 8))) {}
  R1_INLINE void next() { a = _mm256_srli_epi32(a, 2), b = _mm256_srli_epi32(b, 2); }
};
struct Four {
  __m256 v;
  R1_INLINE explicit Four(const float* p) : v(_mm256_broadcast_ps((const __m128*)p)) {}
  R1_INLINE F16 at(const Places& places) const { return {_mm256_permutevar_ps(v, places.a), _mm256_permutevar_ps(v, places.b)}; }
};
#else
struct Places {
  uint32_t v[16];
  R1_INLINE explicit Places(const uint32_t* p) { __builtin_memcpy(v, p, sizeof(v)); }
  R1_INLINE void next() {
    for (uint32_t& place : v) place >>= 2;
  }
};
struct Four {
  const float* p;
  R1_INLINE explicit Four(const float* p) : p(p) {}
  R1_INLINE F16 at(const Places& places) const {
    float lanes[16];
    for (int i = 0; i < 16; ++i) lanes[i] = p[places.v[i] & 3];
    return load(lanes);
  }
};
#endif

// -- A tile: R rows of x against N groups of w --------------------------------------------------------------------------------------------

struct Group {
  const uint8_t* values;
  const uint32_t* places;
  const float* scales;  // of its row of blocks
};
R1_INLINE Group group_at(const FloatRows& w, int64_t group) {
  return {(const uint8_t*)w.values + group * w.value_bytes(), w.places + (w.places ? group * w.place_words() : 0),
          w.scales + (w.scales ? group * kFloatGroup / kScaleBlock * w.scale_columns() : 0)};
}

// acc += the columns [begin, end) of one chain.
template <FloatForm F, int R, int N>
R1_INLINE void dense_columns(F16 (&acc)[N][R], const Group (&w)[N], const float* x, int64_t x_stride, int64_t begin, int64_t end) {
  constexpr int64_t kStep = kFloatGroup * size_of(F);
  while (begin < end) {
    const int64_t stop = F == FloatForm::kE4m3 ? min_of(end, (begin / kScaleBlock + 1) * kScaleBlock) : end;
    F16 scale[N];
    if constexpr (F == FloatForm::kE4m3)
      for (int n = 0; n < N; ++n) scale[n] = set1(w[n].scales[begin / kScaleBlock] * 256.0f);
    for (int64_t k = begin; k < stop; ++k) {
      F16 value[N];
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) {
        if (R <= 2) __builtin_prefetch(w[n].values + (k + 64) * kStep);
        value[n] = widen<F>(w[n].values + k * kStep);
        if constexpr (F == FloatForm::kE4m3) value[n] = value[n] * scale[n];
      }
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const F16 xr = set1(x[r * x_stride + k]);
#pragma GCC unroll 4
        for (int n = 0; n < N; ++n) acc[n][r] = fma(xr, value[n], acc[n][r]);
      }
    }
    begin = stop;
  }
}

template <FloatForm F, int R, int N>
R1_INLINE void sparse_columns(F16 (&acc)[N][R], const Group (&w)[N], const float* x, int64_t x_stride, int64_t begin, int64_t end) {
  constexpr int64_t kStep = kFloatGroup * size_of(F);
  for (int64_t k = begin; k < end; k += kPlacesUnit) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) {
      Places places(w[n].places + k / kPlacesUnit * kFloatGroup);
      const uint8_t* values = w[n].values + k / 2 * kStep;
#pragma GCC unroll 2
      for (int64_t four = 0; four < kPlacesUnit / 4; ++four) {
        if (R <= 2) __builtin_prefetch(values + 32 * kStep);
        const F16 first = widen<F>(values), second = widen<F>(values + kStep);
        Places next = places;
        next.next();
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
          const Four four_of_x(x + r * x_stride + k + 4 * four);
          acc[n][r] = fma(four_of_x.at(places), first, acc[n][r]);
          acc[n][r] = fma(four_of_x.at(next), second, acc[n][r]);
        }
        next.next();
        places = next;
        values += 2 * kStep;
      }
    }
  }
}

template <FloatForm F, bool kSparse, int R, int N>
R1_INLINE void run_tile(const FloatLinear& a, int64_t row, int64_t group, const float* x, int64_t x_stride) {
  Group w[N];
  for (int n = 0; n < N; ++n) w[n] = group_at(a.w, group + n);
  const int64_t columns = a.w.padded();
  F16 sum[N][R];
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) sum[n][r] = zero();
  for (int64_t k = 0; k < columns; k += kChain) {
    F16 acc[N][R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) acc[n][r] = zero();
    const int64_t end = min_of(columns, k + kChain);
    if constexpr (kSparse)
      sparse_columns<F, R, N>(acc, w, x + row * x_stride, x_stride, k, end);
    else
      dense_columns<F, R, N>(acc, w, x + row * x_stride, x_stride, k, end);
    for (int r = 0; r < R; ++r)
      for (int n = 0; n < N; ++n) sum[n][r] = k == 0 ? acc[n][r] : sum[n][r] + acc[n][r];
  }
  for (int n = 0; n < N; ++n) {
    float y[R][kFloatGroup];
    for (int r = 0; r < R; ++r) store(y[r], sum[n][r]);
    put(a, row, group + n, y);
  }
}

template <FloatForm F, bool kSparse>
inline void run_groups(const FloatLinear& a, const float* x, int64_t x_stride, int64_t begin, int64_t end) {
  for (int64_t top = 0; top < a.rows; top += kBlockRows) {
    const int64_t bottom = min_of(a.rows, top + kBlockRows);
    int64_t group = begin;
    // One row waits for each sum: four groups at a time do not.
    if (bottom - top == 1)
      for (; group + 4 <= end; group += 4) run_tile<F, kSparse, 1, 4>(a, top, group, x, x_stride);
    for (; group < end; ++group)
      for (int64_t row = top; row < bottom; row += kRows)
        with_count<kRows>(min_of(kRows, bottom - row), [&]<int R>() { run_tile<F, kSparse, R, 1>(a, row, group, x, x_stride); });
  }
}

template <FloatForm F>
inline void run(const FloatLinear& a, const float* x, int64_t x_stride, int64_t begin, int64_t end) {
  a.w.places ? run_groups<F, true>(a, x, x_stride, begin, end) : run_groups<F, false>(a, x, x_stride, begin, end);
}

}  // namespace

template <>
void widen_rows_simd<kIsa>(const FloatLinear& a, int64_t row, int64_t rows, float* to) {
  for (int64_t r = 0; r < rows; ++r, to += a.w.padded()) {
    for_vectors(a.w.columns, [&](int64_t k, int64_t n) { store_n(to + k, read(a.x, row + r, k, n), n); });
    for (int64_t k = a.w.columns; k < a.w.padded(); ++k) to[k] = 0;
  }
}

template <>
void float_linear_simd<kIsa>(const FloatLinear& a, const float* x, int64_t x_stride, int64_t begin, int64_t end) {
  switch (a.w.form) {
    case FloatForm::kF32:
      return run<FloatForm::kF32>(a, x, x_stride, begin, end);
    case FloatForm::kBf16:
      return run<FloatForm::kBf16>(a, x, x_stride, begin, end);
    case FloatForm::kF16:
      return run<FloatForm::kF16>(a, x, x_stride, begin, end);
    case FloatForm::kE4m3:
      return run_groups<FloatForm::kE4m3, false>(a, x, x_stride, begin, end);
  }
}

}  // namespace r1::kernels
