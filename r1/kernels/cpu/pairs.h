// A term of a sum that is a pair of bf16, and what gemm_bf16 makes of it: c + upper + lower, two fused multiply-adds, by the bf16 dot
// product where the file is compiled for that (R1_SIMD_BF16, r1/kernels/CMakeLists.txt). Only for *.simd.cc.
#pragma once

#include "r1/kernels/cpu/simd.h"

namespace r1::kernels {
namespace {

struct Pairs {
  static constexpr bool kSplitPairs = false;
  R1_INLINE static F16 multiply_add(F16 a, F16 b, F16 c) {
#if defined(R1_SIMD_BF16)
    return {_mm512_dpbf16_ps(c.v, (__m512bh)a.v, (__m512bh)b.v)};
#else
    return fma(lower_bf16(a), lower_bf16(b), fma(upper_bf16(a), upper_bf16(b), c));
#endif
  }
};

#if defined(R1_SIMD_BF16)
constexpr bool kDot = true;
#else
constexpr bool kDot = false;
#endif

}  // namespace
}  // namespace r1::kernels
