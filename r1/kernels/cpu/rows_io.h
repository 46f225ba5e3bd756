// Reading and writing vectors of either storage type. Only for *.simd.cc.
#pragma once

#include "r1/kernels/cpu/rows.h"
#include "r1/kernels/cpu/simd.h"

namespace r1::kernels {
namespace {

template <class T>
R1_INLINE F16 load_up_to(const T* p, int64_t n) {
  return n >= kLanes ? load(p) : load_n(p, n);
}
// Elements [i, i + n), n <= 16, of a row; zero beyond.
R1_INLINE F16 read(const ConstRows& x, int64_t row, int64_t i, int64_t n) {
  const int64_t at = row * x.row_stride + i;
  return x.type == Float::kF32 ? load_up_to((const float*)x.data + at, n) : load_up_to((const bf16*)x.data + at, n);
}
R1_INLINE void write(const Rows& x, int64_t row, int64_t i, int64_t n, F16 v) {
  const int64_t at = row * x.row_stride + i;
  if (x.type == Float::kF32)
    n >= kLanes ? store((float*)x.data + at, v) : store_n((float*)x.data + at, v, n);
  else
    n >= kLanes ? store((bf16*)x.data + at, v) : store_n((bf16*)x.data + at, v, n);
}

// f(i, n) for the vectors of a row.
template <class F>
R1_INLINE void for_vectors(int64_t count, F f) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) f(i, int64_t(kLanes));
  if (i < count) f(i, count - i);
}

}  // namespace
}  // namespace r1::kernels
