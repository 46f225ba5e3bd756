#include "r1/kernels/cpu/gemm_bf16_simd.h"

#include "r1/kernels/cpu/gemm_driver.h"

namespace r1::kernels {

template <>
void gemm_split_pairs_simd<kIsa>(const Gemm& g, const uint16_t* a, const uint16_t* b, uint16_t* narrow) {
  run_product<SplitPairs>({g, a, b, narrow, g.c_row});
}

}  // namespace r1::kernels
