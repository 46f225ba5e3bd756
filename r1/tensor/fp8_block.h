// Weights in 8 bits as DeepSeek-V3 is published (arXiv 2412.19437, section 3.3.1; README_WEIGHTS of its repository): float8_e4m3fn values
// with one fp32 scale for each block of 128 x 128, the last row and column of blocks ragged. A weight is value * scale_inv of its block.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::tensor {

constexpr int64_t kFp8Block = 128;

struct Fp8Blocks {
  Tensor values_OI;     // float8_e4m3fn, CPU
  Tensor scale_inv_RC;  // fp32 [ceil(O / 128), ceil(I / 128)], CPU
};

// Shape of the scales of a weight [O, I].
std::vector<int64_t> fp8_scale_shape(int64_t rows, int64_t columns);

// scale_inv = largest magnitude of the block / 448 (1 where the block is zero), value = weight / scale_inv to the nearest, ties to even.
// weight [O, I] of any float dtype and device; values that are not finite are an error.
Fp8Blocks to_fp8_blocks(const Tensor& weight_OI);

// out [O, I], any float dtype and device: value * scale_inv in fp32, rounded once.
void from_fp8_blocks(const Fp8Blocks& blocks, const Tensor& out_OI);

}  // namespace r1::tensor
