#include "r1/kernels/cpu/gemm_bf16_simd.h"

#include "r1/kernels/cpu/gemm_driver.h"
#include "r1/kernels/cpu/pairs.h"

namespace r1::kernels {
template <>
void gemm_bf16_simd<kIsa, kDot>(const Gemm& g, uint16_t* narrow, int64_t narrow_row) {
  run_product<Pairs>({g, narrow, narrow_row});
}

}  // namespace r1::kernels
