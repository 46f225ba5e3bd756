// y_TO = x_TI . W_OI^T + bias_O with a W that lies packed (tensor/packed), never unpacked: the product of quantized weights. x [T, I] fp32 or
// bf16 on the CPU; bias [O] of x's dtype or undefined; y in x's dtype, or fp32 where asked for. No gradient.
//
// A row of y has the same bits whatever T, the other rows, the range [first, first + count), the number of threads and the instruction set,
// and they are the definition's (packed_linear_ref.cc; the kernels are kernels/cpu/packed_linear.h). By W's form:
//
// ggml's blocks, and integers (GPTQ, AWQ, compressed-tensors): x is rounded to 8 bits on the way, each block of a row by itself (32 columns;
// 256 for the K forms) to multiples of s = amax / 127; the products with the codes are summed exactly, in integers; the blocks of a row are
// summed in fp32, in order. Where the file declares how inputs are rounded (int8-dynamic, int8-static), so they are: to multiples of one s a
// row, amax / 127.5, or of the file's, held to -128 .. 127, and a whole group of columns is summed in integers. Against the product in exact
// arithmetic of x and the unpacked W, the error of y_to is at most
//   sum over blocks b of  s_tb / 2 * sum_{i in b} |W_oi|   (the rounding of x; where it is held to a range, more)
//   + 2^-22 (blocks + 2) * sum_i |s_tb a_i| (|scale code| + |offset code|)   (fp32; of integers the code less its zero point, and no offset).
// A block of x with amax below 2^-100 counts as zeros.
//
// Floats (8 bit blocks, 16 bits, 2:4): x as it is, and the bits of ops/linear's fp32 product with the unpacked W, whatever of x is finite.
#pragma once

#include <span>
#include <vector>

#include "r1/tensor/packed.h"

namespace r1::ops {

// Whether there is a product straight from this matrix for such an x.
bool has_packed_linear(const tensor::PackedMatrix& weight, const Tensor& x_TI);
// Rows [first, first + count) of the matrix are the outputs.
Tensor packed_linear(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count, const Tensor& bias_O = {});
// y in fp32, without bias.
Tensor packed_linear_fp32(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count);

// Several maps of one x: y of each, the bits of packed_linear. x is rounded once for all that round it alike, threads are forked once.
struct PackedMap {
  const tensor::PackedMatrix* weight;
  Tensor bias_O = {};
};
std::vector<Tensor> packed_linear_joint(const Tensor& x_TI, std::span<const PackedMap> maps);

// The definition; y in fp32.
Tensor packed_linear_ref(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count, const Tensor& bias_O = {});

}  // namespace r1::ops
