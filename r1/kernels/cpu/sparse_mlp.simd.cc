#include "r1/kernels/cpu/rows_io.h"
#include "r1/kernels/cpu/sparse_mlp_simd.h"

namespace r1::kernels {
namespace {

constexpr int64_t kSum = 256;  // the block of a sum (gemm_f32.h)

// Sixteen (or n) rows of up against x: pieces of 16 x 16 are transposed in registers, a lane sums a row.
R1_INLINE F16 products(const float* x, const float* const (&rows)[16], int64_t n, int64_t dim) {
  F16 total = zero();
  for (int64_t k0 = 0; k0 < dim; k0 += kSum) {
    const int64_t end = min_of(dim, k0 + kSum);
    F16 sum = zero();
    for (int64_t k = k0; k < end; k += kLanes) {
      F16 block[16];
      const int64_t terms = min_of(kLanes, end - k);
      if (n == kLanes && terms == kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
          block[i] = load(rows[i] + k);
          __builtin_prefetch(rows[i] + k + 64);
        }
      } else {
        for (int i = 0; i < 16; ++i) block[i] = i < n ? load_n(rows[i] + k, terms) : zero();
      }
      transpose(block);
      if (terms == kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) sum = fma(set1(x[k + i]), block[i], sum);
      } else {
        for (int64_t i = 0; i < terms; ++i) sum = fma(set1(x[k + i]), block[i], sum);
      }
    }
    total = k0 > 0 ? total + sum : sum;
  }
  return total;
}

// NV vectors of y from column i; `last`: how many columns of the last vector exist.
template <int NV>
R1_INLINE void sum_columns(const float* h, const float* down, const int32_t* chosen, int64_t count, float* y, int64_t dim, int64_t i,
                           int64_t last) {
  F16 total[NV], sum[NV];
  for (int v = 0; v < NV; ++v) total[v] = sum[v] = zero();
  int64_t block = 0;
  const auto finish = [&] {
    for (int v = 0; v < NV; ++v) total[v] = total[v] + sum[v], sum[v] = zero();
  };
  for (int64_t k = 0; k < count; ++k) {
    if (chosen[k] / kSum != block) finish(), block = chosen[k] / kSum;
    const float* row = down + chosen[k] * dim + i;
    const F16 factor = set1(h[k]);
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      if (v + 1 < NV && k + 4 < count) __builtin_prefetch(down + chosen[k + 4] * dim + i + v * kLanes);
      const F16 w = v + 1 < NV || last == kLanes ? load(row + v * kLanes) : load_n(row + v * kLanes, last);
      sum[v] = fma(factor, w, sum[v]);
    }
  }
  finish();
  for (int v = 0; v < NV; ++v) store_n(y + i + v * kLanes, total[v], v + 1 < NV ? int64_t(kLanes) : last);
}

}  // namespace

template <>
void silu_simd<kIsa>(const ConstRows& x, int64_t row, float* y, int64_t n) {
  for_vectors(n, [&](int64_t i, int64_t count) {
    const F16 v = read(x, row, i, count);
    store_n(y + i, v * sigmoid(v), count);
  });
}

template <>
void chosen_products_simd<kIsa>(const float* x, const float* up, const int32_t* chosen, const float* a, float* h, int64_t dim,
                                int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += kLanes) {
    const int64_t n = min_of(kLanes, end - i);
    const float* rows[16];
    for (int64_t j = 0; j < 16; ++j) rows[j] = up + chosen[j < n ? i + j : i] * dim;
    store_n(h + i, load_n(a + i, n) * products(x, rows, n, dim), n);
  }
}

template <>
void chosen_sum_simd<kIsa>(const float* h, const float* down, const int32_t* chosen, int64_t count, float* y, int64_t dim, int64_t begin,
                           int64_t end) {
  int64_t i = begin;
  for (; i + 8 * kLanes <= end; i += 8 * kLanes) sum_columns<8>(h, down, chosen, count, y, dim, i, kLanes);
  for (; i < end; i += kLanes) sum_columns<1>(h, down, chosen, count, y, dim, i, min_of(kLanes, end - i));
}

}  // namespace r1::kernels
