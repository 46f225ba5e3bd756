// Rotary position embedding (Su et al. 2021) on [tokens, heads, head_dim], kernels/cpu/rope.h's on the device, not in place: one launch,
// which reads x wherever its tokens and heads lie and writes y dense. inverse = true turns back: it is the backward pass.
#pragma once

#include "r1/kernels/cpu/rope.h"
#include "r1/kernels/cuda/device.h"

namespace r1::kernels::cuda {

struct RopeInto {
  Float type = Float::kBf16;
  const void* x = nullptr;  // value i of head n of token t at t token_stride + n head_stride + i
  void* y = nullptr;        // [tokens, heads, head_dim]; may be x where that is dense
  int64_t tokens = 0, heads = 0, head_dim = 0, token_stride = 0, head_stride = 0;
  const int32_t* positions = nullptr;          // [tokens], below max_position
  const float *cos = nullptr, *sin = nullptr;  // [max_position, head_dim / 2]
  RopeLayout layout = RopeLayout::kHalves;
  bool inverse = false;
};
void rope(const RopeInto& a, Stream stream);

}  // namespace r1::kernels::cuda
