// fp32 rows to blocks of ggml's quantized formats (dequantize.h says what they mean). Plain C++: pointers and counts, no tensor.
//
// Without importance Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 are what the reference makes, bit for bit (ggml-quants.c; gguf-py's quants.py): the scale
// follows from the block's extremes. With importance, and for Q4_K, Q5_K and Q6_K always, scales (and minima) are searched: of some twenty
// grids around the extremes' one, each with its least-squares scale, the one with the least weighted square error. Weights: importance of
// the column x sqrt(2 mean(x^2) + x^2), as ggml has it, so that an outlier counts more than its neighbours.
#pragma once

#include <cstddef>
#include <cstdint>

#include "r1/base/gguf_file.h"

namespace r1::tensor {

// `n` values (whole blocks, all finite) to `blocks`. `importance`: null, or n numbers >= 0, what an error in this column costs (the mean
// square of the input that the column is multiplied with).
using QuantizeRow = void (*)(const float* values, int64_t n, const float* importance, std::byte* blocks);
// nullptr for types that are not quantized or not known here.
QuantizeRow quantizer(GgmlType type);

}  // namespace r1::tensor
