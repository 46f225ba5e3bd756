// Weights and inputs of the quantizers' tests.
#pragma once

#include "r1/base/rng.h"
#include "r1/tensor/aten.h"

namespace r1::quant {

// Bell-shaped, about 0.6 wide; a function of the seed alone.
inline Tensor bell(at::IntArrayRef shape, uint32_t seed) {
  const Tensor out = aten::empty(shape, at::kFloat);
  float* to = out.mutable_data_ptr<float>();
  for (int64_t i = 0; i < out.numel(); ++i) {
    double sum = -2;
    for (const uint32_t draw : philox4x32({uint32_t(i), 0, 0, 0}, {seed, 0})) sum += double(draw) * 0x1p-32;
    to[i] = float(sum);
  }
  return out;
}

}  // namespace r1::quant
