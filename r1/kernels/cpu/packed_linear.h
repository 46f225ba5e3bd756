// y = x w^T + bias with w packed as its file has it. Three kinds of w, each with its own contract of the bits; in all of them an element of y
// knows nothing of other rows, of the range of outputs, of threads or of the instruction set.
//
// PackedLinear: w in ggml's blocks, eight rows side by side (base/interleaved_rows), and x quantized to 8 bits as it comes in.
// What it computes, and the bits, are the definition in ops/packed_linear_ref:
//
//   a row of x, a block at a time (32 columns, 256 for the K forms):  s = amax / 127,  a_k = round(x_k (127 / amax)), ties to even
//   an element of y is a chain from 0 over the blocks, ascending, in fp32; with value_k = d code_k + m offset_k of the block of w
//     acc = fma(d s, float(sum code_k a_k), acc);   where the form has offsets:   acc = fma(m s, float(sum offset_k a_k), acc)
//   y = acc + bias, rounded once where y is bf16.
//
// The sums in the brackets are of integers and exact (below 2^27). A block with amax below 2^-100 counts as zeros; one with an infinity or a
// NaN makes the row of y NaN.
//
// IntegerLinear: w in small integers (base/integer_rows). The same with value_k = d (code_k - zero), in stored columns, over stretches:
//   x rounded by blocks: stretches of 32 columns, s and a_k as above;
//   by rows, or with a fixed scale: a stretch is a group of w (all columns for int8 a channel); s = max(amax / 127.5, 1e-12) of the row, or the
//   fixed one, and a_k = round(x_k / s) held to -128 .. 127. A row with an infinity or a NaN is NaN.
//     acc = fma(d s, float(sum (code_k - zero) a_k), acc)
//
// FloatLinear: w in 8, 16 or 32 bits, dense or 2:4 (base/float_rows), x as it is (bf16 widened). w is widened in registers (times the scale of
// its block, rounded to fp32), and y has the bits of gemm_f32's product with those numbers: chains of 256 columns, added in order. Of 2:4 the
// terms that are left out are zeros; where x is infinite or NaN there, the dense product would be NaN, this one is not.
//
// Threads: OpenMP, over groups of outputs. Up to kTileRows rows, w is read once, as it lies in memory.
#pragma once

#include <cstddef>
#include <span>
#include <variant>

#include "r1/base/float_rows.h"
#include "r1/base/integer_rows.h"
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

struct IntegerLinear {
  ConstRows x;  // [rows, w.columns]
  IntegerRows w;
  int64_t first = 0;
  ConstRows bias = {};
  Rows y;
  int64_t rows, out;
};

struct FloatLinear {
  ConstRows x;  // [rows, w.columns]
  FloatRows w;
  int64_t first = 0;
  ConstRows bias = {};
  Rows y;
  int64_t rows, out;
};

using PackedProduct = std::variant<PackedLinear, IntegerLinear, FloatLinear>;

void packed_linear(const PackedLinear& a);
// Several products of one x: threads are forked once, and x is rounded once for all that round it alike. The bits are the single ones'.
void packed_products(std::span<const PackedProduct> products);

}  // namespace r1::kernels
