// Blocks of ggml's quantized formats to fp32, as the reference defines them (ggml-quants.c, and gguf-py's quants.py, which the results
// equal bit for bit: the same products and sums in the same order, no fused multiply-add). Plain C++: pointers and counts, no tensor.
//
// Each format keeps small integers and fp16 scales. 32 to a block: value = d * (q - zero) (Q4_0, Q5_0, Q8_0) or d * q + m (Q4_1, Q5_1). 256
// to a super-block with scales that are quantized themselves: d * sc * q - dmin * m (Q4_K, Q5_K) or d * sc * (q - 32) (Q6_K).
#pragma once

#include <cstddef>
#include <cstdint>

#include "r1/base/gguf_file.h"

namespace r1::tensor {

// Values of `n` elements (whole blocks) from `blocks` to `out`. nullptr for types that are not quantized or not known here.
using DequantizeRow = void (*)(const std::byte* blocks, int64_t n, float* out);
DequantizeRow dequantizer(GgmlType type);

}  // namespace r1::tensor
