// bfloat16 as storage: 16 bits, the upper half of a float. Widening is exact; narrowing rounds to nearest even, keeps infinities and quiet
// NaNs.
#pragma once

#include <cstdint>

namespace r1::kernels {

static inline float from_bf16(uint16_t x) {
  return __builtin_bit_cast(float, uint32_t(x) << 16);
}
static inline uint16_t to_bf16(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  if (x != x) return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// dst and src do not overlap. Threads: for a megabyte and more.
void bf16_to_f32(const uint16_t* src, float* dst, int64_t n);
void f32_to_bf16(const float* src, uint16_t* dst, int64_t n);

}  // namespace r1::kernels
