#include "r1/kernels/cpu/gemm_bf16_simd.h"

#include "r1/kernels/cpu/gemm_driver.h"

namespace r1::kernels {
namespace {

struct Pairs {
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

template <>
void gemm_bf16_simd<kIsa, kDot>(const Gemm& g, uint16_t* narrow, int64_t narrow_row) {
  run_product<Pairs>({g, narrow, narrow_row});
}

}  // namespace r1::kernels
