// ggml's quantized blocks as they lie in a file (ggml-quants.h): bytes only, so that nothing is padded and any alignment will do. What they
// mean is dequantize.h; quantize.h makes them.
#pragma once

#include <c10/util/Half.h>

#include <cstdint>
#include <cstring>

namespace r1::tensor {

constexpr int kGgmlBlock = 32, kGgmlSuper = 256;

struct Fp16 {
  uint8_t bytes[2];
  float value() const {
    uint16_t bits;
    std::memcpy(&bits, bytes, sizeof(bits));
    return c10::detail::fp16_ieee_to_fp32_value(bits);
  }
  // To the nearest, ties to even; what it is now.
  float set(float value_fp32) {
    const uint16_t bits = c10::detail::fp16_ieee_from_fp32_value(value_fp32);
    std::memcpy(bytes, &bits, sizeof(bits));
    return value();
  }
};
struct BlockQ4_0 {
  Fp16 d;
  uint8_t q[16];
};
struct BlockQ4_1 {
  Fp16 d, m;
  uint8_t q[16];
};
struct BlockQ5_0 {
  Fp16 d;
  uint8_t high[4], q[16];
};
struct BlockQ5_1 {
  Fp16 d, m;
  uint8_t high[4], q[16];
};
struct BlockQ8_0 {
  Fp16 d;
  int8_t q[32];
};
struct BlockQ4_K {
  Fp16 d, dmin;
  uint8_t scales[12], q[128];
};
struct BlockQ5_K {
  Fp16 d, dmin;
  uint8_t scales[12], high[32], q[128];
};
struct BlockQ6_K {
  uint8_t low[128], high[64];
  int8_t scales[16];
  Fp16 d;
};

}  // namespace r1::tensor
