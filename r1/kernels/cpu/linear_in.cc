#include "r1/kernels/cpu/linear_in.h"

#include "r1/base/error.h"
#include "r1/kernels/cpu/gemm_bf16.h"
#include "r1/kernels/cpu/linear_in_simd.h"
#include "r1/kernels/cpu/parts.h"
#include "r1/kernels/cpu/threads.h"

namespace r1::kernels {
namespace {

template <class T>
void few_rows(const LinearIn& a) {
  const FewRowsIn<T> few{a.x, a.in, a.rows, nullptr, a.in, static_cast<const T*>(a.w.data), static_cast<T*>(a.y.data), a.out};
  const int threads = threads_for(double(a.rows + 4) * double(a.in * a.out));  // 4: w is read
  in_parts(a.out, threads, [&](int64_t begin, int64_t end) { with_isa([&](auto isa) { few_rows_in_simd<isa()>(few, begin, end); }); });
}

}  // namespace

void linear_in(const LinearIn& a) {
  check(a.rows >= 0 && a.out >= 0 && a.in > 0, "[linear_in] expected sizes, got ", a.rows, " x ", a.in, " x ", a.out);
  check(a.w.type == a.y.type, "[linear_in] expected w and y of one type of floats");
  if (a.rows == 0 || a.out == 0) return;
  if (a.rows <= kFewRows) return a.w.type == Float::kBf16 ? few_rows<uint16_t>(a) : few_rows<float>(a);
  gemm_mixed({.a = {a.x, Float::kF32, a.in, 1}, .b = {a.w.data, a.w.type, a.out, 1}, .c = a.y, .rows = a.rows, .cols = a.out, .sum = a.in});
}

}  // namespace r1::kernels
