// The inner loop that the matrix products and attention share: a tile of R rows x NV vectors of 16 lanes, one accumulator per element,
//   acc[r][v] += a[r, k] * b[v][k, :]   for k ascending, one fma each.
// An element's bits therefore depend on its own operands and the order of k only, not on R, NV or the element's place in the tile.
// Only for *.simd.cc.
#pragma once

#include "r1/kernels/cpu/simd.h"

namespace r1::kernels {
namespace {

// One term of a sum: a float, or a pair of bf16 (pairs.h).
typedef float __attribute__((may_alias)) Word;

struct Floats {
  static constexpr bool kSplitPairs = false;
  R1_INLINE static F16 multiply_add(F16 a, F16 b, F16 c) { return fma(a, b, c); }
};

// The terms of pairs of bf16 that were widened to floats when they were packed: of a pair the second comes first, as in pairs.h.
struct SplitPairs : Floats {
  static constexpr bool kSplitPairs = true;
};

// Op says what a product is (gemm_bf16: of pairs). a[r, k] = a[r * a_row + k * a_step]; row k of vector v = b[v] + k * b_step.
template <int R, int NV, class Op = Floats, class A, class T>
R1_INLINE void tile_fma(F16 (&acc)[R][NV], const A* a, int64_t a_row, int64_t a_step, const T* const (&b)[NV], int64_t b_step,
                        int64_t count) {
  for (int64_t k = 0; k < count; ++k) {
    F16 bv[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) bv[v] = load(b[v] + k * b_step);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const F16 ar = set1(a[r * a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) acc[r][v] = Op::multiply_add(ar, bv[v], acc[r][v]);
    }
    a += a_step;
  }
}

// The same for SplitPairs, of which one may be half.
template <int R, int NV, class A, class T>
R1_INLINE void tile_fma_pairs(F16 (&acc)[R][NV], const A* a, int64_t a_step, const T* const (&b)[NV], int64_t b_step, int64_t count) {
  const auto term = [&](int64_t k) {
    const T* bk[NV];
    for (int v = 0; v < NV; ++v) bk[v] = b[v] + k * b_step;
    tile_fma<R, NV>(acc, a + k * a_step, 1, 0, bk, 0, 1);
  };
  int64_t k = 0;
  for (; k + 2 <= count; k += 2) term(k + 1), term(k);
  if (k < count) term(k);
}

// Calls f<R>() for R = n, 1 <= n <= Max.
template <int Max, class F>
R1_INLINE void with_count(int64_t n, F&& f) {
  if constexpr (Max > 1) {
    if (n < Max) return with_count<Max - 1>(n, f);
  }
  f.template operator()<Max>();
}

// dst[c * dst_step + r] = src[r * src_step + c] for c < cols; 16 floats are written per c (rows beyond `rows` are zero), in ascending order
// of c.
template <class T>
R1_INLINE void transpose_to(const T* src, int64_t src_step, int64_t rows, int64_t cols, float* dst, int64_t dst_step) {
  int64_t c = 0;
  F16 block[16];
  if (rows == 16) {
    for (; c + 16 <= cols; c += 16) {
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r) block[r] = load(src + r * src_step + c);
      transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) store(dst + (c + i) * dst_step, block[i]);
    }
  }
  for (; c < cols; c += 16) {
    const int64_t n = min_of(16, cols - c);
    for (int r = 0; r < 16; ++r) block[r] = r < rows ? load_n(src + r * src_step + c, n) : zero();
    transpose(block);
    for (int i = 0; i < n; ++i) store(dst + (c + i) * dst_step, block[i]);
  }
}

}  // namespace
}  // namespace r1::kernels
