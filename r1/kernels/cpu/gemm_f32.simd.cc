#include "r1/kernels/cpu/gemm_driver.h"
#include "r1/kernels/cpu/gemm_f32_simd.h"

namespace r1::kernels {
namespace {

void run_empty_sum(const Gemm& g) {
  if (g.accumulate && !g.bias) return;
  for (int64_t m = 0; m < g.rows; ++m)
    for (int64_t n = 0; n < g.cols; ++n) {
      float& c = g.c[m * g.c_row + n];
      c = (g.accumulate ? c : 0.0f) + (g.bias ? g.bias[n] : 0.0f);
    }
}

}  // namespace

template <>
void gemm_simd<kIsa>(const Gemm& g) {
  if (g.sum == 0) return run_empty_sum(g);
  run_product<Floats>({g});
}

template <>
void gemm_mixed_simd<kIsa>(const Gemm& g, const uint16_t* a, const uint16_t* b, uint16_t* c) {
  run_product<Floats>({g, a, b, c, g.c_row});
}

}  // namespace r1::kernels
