#include "r1/kernels/cpu/chosen_products.h"
#include "r1/kernels/cpu/rows_io.h"
#include "r1/kernels/cpu/sparse_mlp_simd.h"

namespace r1::kernels {
namespace {

// NV vectors of y from column i; `last`: how many columns of the last vector exist.
template <int NV, class T>
R1_INLINE void sum_columns(const ChosenSum<T>& c, int64_t i, int64_t last) {
  F16 total[NV], sum[NV];
  for (int v = 0; v < NV; ++v) total[v] = sum[v] = zero();
  int64_t block = 0;
  const auto finish = [&] {
    for (int v = 0; v < NV; ++v) total[v] = total[v] + sum[v], sum[v] = zero();
  };
  for (int64_t k = 0; k < c.count; ++k) {
    if (c.chosen[k] / kSum != block) finish(), block = c.chosen[k] / kSum;
    const T* row = c.down + c.chosen[k] * c.dim + i;
    const F16 factor = set1(c.hidden[k]);
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      if (v + 1 < NV && k + 4 < c.count) __builtin_prefetch(c.down + c.chosen[k + 4] * c.dim + i + v * kLanes);
      const F16 w = v + 1 < NV || last == kLanes ? load(row + v * kLanes) : load_n(row + v * kLanes, last);
      sum[v] = fma(factor, w, sum[v]);
    }
  }
  finish();
  for (int v = 0; v < NV; ++v) store_n(c.y + i + v * kLanes, total[v], v + 1 < NV ? int64_t(kLanes) : last);
}

template <class T>
R1_INLINE void sum_range(const ChosenSum<T>& c, int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + 8 * kLanes <= end; i += 8 * kLanes) sum_columns<8>(c, i, kLanes);
  for (; i < end; i += kLanes) sum_columns<1>(c, i, min_of(kLanes, end - i));
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
void chosen_products_simd<kIsa>(const ChosenProducts<float>& c, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += kLanes) {
    const int64_t n = min_of(kLanes, end - i);
    store_n(c.hidden + i, load_n(c.active + i, n) * chosen_products<Floats>(c.x, c.up, c.chosen + i, n, c.dim), n);
  }
}

template <>
void chosen_sum_simd<kIsa>(const ChosenSum<float>& c, int64_t begin, int64_t end) {
  sum_range(c, begin, end);
}
template <>
void chosen_sum_simd<kIsa>(const ChosenSum<uint16_t>& c, int64_t begin, int64_t end) {
  sum_range(c, begin, end);
}

}  // namespace r1::kernels
