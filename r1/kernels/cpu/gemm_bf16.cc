#include "r1/kernels/cpu/gemm_bf16.h"

#include "r1/base/error.h"
#include "r1/kernels/cpu/bf16.h"
#include "r1/kernels/cpu/gemm_bf16_simd.h"
#include "r1/kernels/cpu/scratch.h"

namespace r1::kernels {
namespace {

constexpr int kScratchBias = 6;

const float* wide_bias(const ConstRows& bias, int64_t n) {
  if (!bias.data || bias.type == Float::kF32) return static_cast<const float*>(bias.data);
  float* wide = scratch(kScratchBias, n);
  for (int64_t i = 0; i < n; ++i) wide[i] = from_bf16(static_cast<const uint16_t*>(bias.data)[i]);
  return wide;
}

}  // namespace

void linear_forward_bf16(const LinearForwardBf16& a) {
  const int64_t x_stride = a.x_stride ? a.x_stride : a.in, w_stride = a.w_stride ? a.w_stride : a.in,
                y_stride = a.y.row_stride ? a.y.row_stride : a.out;
  check(a.rows >= 0 && a.out >= 0 && a.in > 0, "[linear_forward_bf16] expected sizes, got ", a.rows, " x ", a.in, " x ", a.out);
  check(a.in % 2 == 0 && x_stride % 2 == 0 && w_stride % 2 == 0, "[linear_forward_bf16] expected even in and strides, got ", a.in, ", ",
        x_stride, ", ", w_stride);
  check((reinterpret_cast<uintptr_t>(a.x) | reinterpret_cast<uintptr_t>(a.w)) % 4 == 0,
        "[linear_forward_bf16] expected x and w aligned to 4 bytes");
  if (a.rows == 0 || a.out == 0) return;
  const bool narrow = a.y.type == Float::kBf16;
  const Gemm g{.a = reinterpret_cast<const float*>(a.x),
               .a_row = x_stride / 2,
               .a_sum = 1,
               .b = reinterpret_cast<const float*>(a.w),
               .b_sum = 1,
               .b_col = w_stride / 2,
               .c = narrow ? nullptr : static_cast<float*>(a.y.data),
               .c_row = y_stride,
               .rows = a.rows,
               .cols = a.out,
               .sum = a.in / 2,
               .bias = wide_bias(a.bias, a.out)};
  uint16_t* to = narrow ? static_cast<uint16_t*>(a.y.data) : nullptr;
#if defined(__x86_64__)
  if (active_isa() == Isa::kAvx512 && has_bf16_dot()) return gemm_bf16_simd<Isa::kAvx512, true>(g, to, y_stride);
#endif
  with_isa([&](auto isa) { gemm_bf16_simd<isa(), false>(g, to, y_stride); });
}

}  // namespace r1::kernels
