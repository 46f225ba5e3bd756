#include "r1/kernels/cpu/gemm_bf16_simd.h"

#include "r1/kernels/cpu/gemm_driver.h"
#include "r1/kernels/cpu/pairs.h"

namespace r1::kernels {

template <>
void gemm_pairs_simd<kIsa, kDot>(const Gemm& g, uint16_t* narrow) {
  run_product<Pairs>({.g = g, .narrow = narrow, .narrow_row = g.c_row});
}

}  // namespace r1::kernels
