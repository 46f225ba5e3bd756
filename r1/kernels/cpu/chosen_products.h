// Products of one token with some rows of a weight, sixteen at a time, in the order of gemm's sums (gemm_f32.h, gemm_bf16.h). Only for
// *.simd.cc.
#pragma once

#include "r1/kernels/cpu/tile.h"

namespace r1::kernels {
namespace {

constexpr int64_t kSum = 256;  // the block of a sum (gemm_f32.h), in terms

// Sixteen (or n) rows against x, `terms` words each: pieces of 16 x 16 are transposed in registers, a lane sums a row.
template <class Op>
R1_INLINE F16 products(const Word* x, const Word* const (&rows)[16], int64_t n, int64_t terms) {
  F16 total = zero();
  for (int64_t k0 = 0; k0 < terms; k0 += kSum) {
    const int64_t end = min_of(terms, k0 + kSum);
    F16 sum = zero();
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
        for (int i = 0; i < 16; ++i) sum = Op::multiply_add(set1(x[k + i]), block[i], sum);
      } else {
        for (int64_t i = 0; i < width; ++i) sum = Op::multiply_add(set1(x[k + i]), block[i], sum);
      }
    }
    total = k0 > 0 ? total + sum : sum;
  }
  return total;
}

// products of x with rows chosen[i .. i + n) of w; n <= 16, `terms` words a row.
template <class Op>
R1_INLINE F16 chosen_products(const Word* x, const Word* w, const int32_t* chosen, int64_t n, int64_t terms) {
  const Word* rows[16];
  for (int64_t j = 0; j < 16; ++j) rows[j] = w + chosen[j < n ? j : 0] * terms;
  return products<Op>(x, rows, n, terms);
}

}  // namespace
}  // namespace r1::kernels
