// Products of a few tokens with some rows of a weight, sixteen at a time, in the order of gemm's sums (gemm_f32.h, gemm_bf16.h). Only for
// *.simd.cc.
#pragma once

#include "r1/kernels/cpu/sparse_mlp_simd.h"
#include "r1/kernels/cpu/tile.h"

namespace r1::kernels {
namespace {

constexpr int64_t kSum = 256;  // the block of a sum (gemm_f32.h), in terms

// Sixteen (or n) rows of a weight against R tokens x [R, terms], `terms` words each: pieces of 16 x 16 are transposed in registers, a lane
// sums a row.
template <class Op, int R>
R1_INLINE void products(const Word* x, const Word* const (&rows)[16], int64_t n, int64_t terms, F16 (&total)[R]) {
  for (F16& v : total) v = zero();
  for (int64_t k0 = 0; k0 < terms; k0 += kSum) {
    const int64_t end = min_of(terms, k0 + kSum);
    F16 sum[R];
    for (F16& v : sum) v = zero();
    for (int64_t k = k0; k < end; k += kLanes) {
      F16 block[16];
      const int64_t width = min_of(kLanes, end - k);
      if (n == kLanes && width == kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
          block[i] = load(rows[i] + k);
          __builtin_prefetch(rows[i] + k + 64);
        }
      } else {
        for (int i = 0; i < 16; ++i) block[i] = i < n ? load_n(rows[i] + k, width) : zero();
      }
      transpose(block);
      if (width == kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i)
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) sum[r] = Op::multiply_add(set1(x[r * terms + k + i]), block[i], sum[r]);
      } else {
        for (int64_t i = 0; i < width; ++i)
          for (int r = 0; r < R; ++r) sum[r] = Op::multiply_add(set1(x[r * terms + k + i]), block[i], sum[r]);
      }
    }
    for (int r = 0; r < R; ++r) total[r] = k0 > 0 ? total[r] + sum[r] : sum[r];
  }
}

// Of tokens that share a list of neurons: hidden = active * finish(product with the neuron's row of w), finish once more after it; 0 where
// active is, whatever the product (a neuron that another token asked for). Neurons [begin, end) of the list.
template <class Op, int R, class T, class Finish>
R1_INLINE void chosen_products(const ChosenProducts<T>& c, int64_t terms, int64_t begin, int64_t end, Finish finish) {
  const Word *x = (const Word*)c.x, *w = (const Word*)c.up;
  for (int64_t i = begin; i < end; i += kLanes) {
    const int64_t n = min_of(kLanes, end - i);
    const Word* rows[16];
    for (int64_t j = 0; j < 16; ++j) rows[j] = w + c.chosen[j < n ? i + j : i] * terms;
    F16 up[R];
    products<Op>(x, rows, n, terms, up);
    for (int r = 0; r < R; ++r) {
      const F16 active = load_n(c.active + r * c.row + i, n);
      const F16 on = finish(active * finish(up[r]));
      store_n(c.hidden + r * c.row + i, select(abs(active) < set1(1.4e-45f), zero(), on), n);
    }
  }
}

}  // namespace
}  // namespace r1::kernels
