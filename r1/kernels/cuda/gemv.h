// Products of a few rows with a weight: y[m, o] = sum_i x[m, i] weight[o, i] + bias[o]. What a decode step of few sequences is made of: the
// weight is read once, so its bytes over the memory's speed are the time. For more rows a matrix product is as fast.
#pragma once

#include <cstdint>

#include "r1/kernels/cpu/rows.h"
#include "r1/kernels/cuda/device.h"

namespace r1::kernels::cuda {

constexpr int64_t kGemvRows = 4;

struct Gemv {
  const void* x = nullptr;       // [rows, in]
  int64_t x_stride = 0;          // between rows, in elements
  const void* weight = nullptr;  // [out, in], dense
  const void* bias = nullptr;    // [out] or null
  void* y = nullptr;             // [rows, out], dense
  Float type = Float::kF32;      // of x, weight and bias
  Float y_type = Float::kF32;
  int64_t rows = 0, in = 0, out = 0;
};
// Whether these addresses and sizes are taken: 1 to kGemvRows rows, all of a multiple of 16 bytes.
bool takes_gemv(const Gemv& a);
void gemv(const Gemv& a, Stream stream);

}  // namespace r1::kernels::cuda
