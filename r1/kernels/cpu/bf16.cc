#include "r1/kernels/cpu/bf16.h"

namespace r1::kernels {

// Simple enough for the compiler to vectorise, and bound by memory.
void bf16_to_f32(const uint16_t* src, float* dst, int64_t n) {
#pragma omp parallel for schedule(static) if (n > 1 << 19)
  for (int64_t i = 0; i < n; ++i) dst[i] = from_bf16(src[i]);
}

void f32_to_bf16(const float* src, uint16_t* dst, int64_t n) {
#pragma omp parallel for schedule(static) if (n > 1 << 19)
  for (int64_t i = 0; i < n; ++i) dst[i] = to_bf16(src[i]);
}

}  // namespace r1::kernels
