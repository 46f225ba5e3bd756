#include "r1/kernels/cpu/linear_in.h"

#include <omp.h>

#include "r1/base/error.h"
#include "r1/kernels/cpu/gemm_f32_simd.h"
#include "r1/kernels/cpu/linear_in_simd.h"
#include "r1/kernels/cpu/parts.h"

namespace r1::kernels {
namespace {

template <class T>
void few_rows(const LinearIn& a) {
  const FewRowsIn<T> few{a.x, a.in, a.rows, nullptr, a.in, static_cast<const T*>(a.w.data), static_cast<T*>(a.y.data), a.out};
  const int64_t threads = a.rows * a.in * a.out < 40000 ? 1 : omp_get_max_threads();
  in_parts(a.out, threads, [&](int64_t begin, int64_t end) { with_isa([&](auto isa) { few_rows_in_simd<isa()>(few, begin, end); }); });
}

}  // namespace

void linear_in(const LinearIn& a) {
  check(a.rows >= 0 && a.out >= 0 && a.in > 0, "[linear_in] expected sizes, got ", a.rows, " x ", a.in, " x ", a.out);
  check(a.w.type == a.y.type, "[linear_in] expected w and y of one type of floats");
  if (a.rows == 0 || a.out == 0) return;
  const bool narrow = a.w.type == Float::kBf16;
  if (a.rows <= kFewRows) return narrow ? few_rows<uint16_t>(a) : few_rows<float>(a);
  const Gemm g{.a = a.x,
               .a_row = a.in,
               .a_sum = 1,
               .b = narrow ? nullptr : static_cast<const float*>(a.w.data),
               .b_sum = a.out,
               .b_col = 1,
               .c = narrow ? nullptr : static_cast<float*>(a.y.data),
               .c_row = a.out,
               .rows = a.rows,
               .cols = a.out,
               .sum = a.in};
  if (!narrow) return gemm(g);
  with_isa([&](auto isa) { gemm_widened_simd<isa()>(g, static_cast<const uint16_t*>(a.w.data), static_cast<uint16_t*>(a.y.data)); });
}

}  // namespace r1::kernels
