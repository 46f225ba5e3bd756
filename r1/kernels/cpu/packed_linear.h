// y = x w^T + bias with w in ggml's blocks, eight rows side by side (base/interleaved_rows), and x quantized to 8 bits as it comes in.
// What it computes, and the bits, are the definition in ops/packed_linear_ref:
//
//   a row of x, a block at a time (32 columns, 256 for the K forms):  s = amax / 127,  a_k = round(x_k (127 / amax)), ties to even
//   an element of y is a chain from 0 over the blocks, ascending, in fp32; with value_k = d code_k + m offset_k of the block of w
//     acc = fma(d s, float(sum code_k a_k), acc);   where the form has offsets:   acc = fma(m s, float(sum offset_k a_k), acc)
//   y = acc + bias, rounded once where y is bf16.
//
// The sums in the brackets are of integers and exact (below 2^27). So an element knows nothing of other rows, threads or the instruction
// set. A block with amax below 2^-100 counts as zeros; one with an infinity or a NaN makes the row of y NaN.
//
// Threads: OpenMP, over groups of eight outputs. Up to kTileRows rows, w is read once, as it lies in memory.
#pragma once

#include <cstddef>

#include "r1/base/interleaved_rows.h"
#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

struct PackedLinear {
  ConstRows x;  // [rows, in]
  BlockForm form;
  const std::byte* w;   // the interleaved matrix
  int64_t first = 0;    // the outputs are rows [first, first + out) of it
  ConstRows bias = {};  // [out] or none
  Rows y;               // [rows, out]
  int64_t rows, in, out;
};
void packed_linear(const PackedLinear& a);

}  // namespace r1::kernels
