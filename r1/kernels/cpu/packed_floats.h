// FloatLinear (packed_linear.h) for one instruction set.
#pragma once

#include "r1/kernels/cpu/packed_products.h"

namespace r1::kernels {

// Whether x is read where it lies; else its rows are widened and filled up first, to padded() floats each.
inline bool reads_in_place(const FloatLinear& a) {
  return a.x.type == Float::kF32 && a.w.padded() == a.w.columns;
}

template <Isa>
void widen_rows_simd(const FloatLinear& a, int64_t row, int64_t rows, float* to);
// `x`: the rows, fp32, `x_stride` apart, padded() columns each.
template <Isa>
void float_linear_simd(const FloatLinear& a, const float* x, int64_t x_stride, int64_t begin, int64_t end);

}  // namespace r1::kernels
