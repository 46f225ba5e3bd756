// y_TO = x_TI . W_OI^T + bias_O with W in ggml's blocks as a GGUF file has them (tensor/packed), never unpacked: the product of quantized
// weights. x [T, I] fp32 or bf16 on the CPU, I whole blocks; bias [O] of x's dtype or undefined; y in x's dtype, or fp32 where asked for.
// No gradient.
//
// x is rounded to 8 bits on the way, each block of a row by itself (32 columns; 256 for the K forms) to multiples of s = amax / 127; the
// products with the blocks' codes are summed exactly, in integers; the blocks of a row are summed in fp32, in order (the definition is in
// packed_linear_ref.cc, the kernel is kernels/cpu/packed_linear). Hence
// - a row of y has the same bits whatever T, the other rows, the range [first, first + count), the number of threads and the instruction
//   set, and they are the definition's;
// - against the product in exact arithmetic of x and the unpacked W, the error of y_to is at most
//     sum over blocks b of  s_tb / 2 * sum_{i in b} |W_oi|   (the rounding of x)
//     + 2^-22 (blocks + 2) * sum_i |s_tb a_i| (|scale code| + |offset code|)   (fp32).
//   A block of x with amax below 2^-100 counts as zeros.
#pragma once

#include "r1/tensor/packed.h"

namespace r1::ops {

// Whether there is a product straight from this matrix for such an x.
bool has_packed_linear(const tensor::PackedMatrix& weight, const Tensor& x_TI);
// Rows [first, first + count) of the matrix are the outputs.
Tensor packed_linear(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count, const Tensor& bias_O = {});
// y in fp32, without bias.
Tensor packed_linear_fp32(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count);
// The definition; y in fp32.
Tensor packed_linear_ref(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count, const Tensor& bias_O = {});

}  // namespace r1::ops
