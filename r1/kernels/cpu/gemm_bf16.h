// The forward product of a linear layer with weights and activations in bf16: y = x w^T + bias, sums in fp32, y in fp32 or bf16 (rounded
// once, at the end).
//
// Contract of the bits: as in gemm_f32.h with the terms in pairs: with s = 2 i, an element is ((B0 + B1) + ...) + bias, Bi the chain over
// 256 pairs of
//
//   acc = fma(x[s+1], w[s+1], acc); acc = fma(x[s], w[s], acc)
//
// which is what vdpbf16ps computes, except that the instruction takes subnormal inputs and results for zero. So a row depends neither on
// the other rows nor on threads, and on the instruction set only where numbers below 1.2e-38 occur. It serves every number of rows, a
// decode step as well as a prefill.
//
// Against ATen's bf16 linear (one thread, Zen 4, interleaved, medians over four shapes): 1-8 rows 1.2-2.1 times as fast, 16 rows 0.95-1.5,
// 64 rows 0.94-1.1, from 256 rows 0.89-0.95. Do not mix the two where bits must agree.
//
// `in` and the row strides must be even, x and w aligned to 4 bytes. Threads: as gemm_f32.h.
#pragma once

#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

struct LinearForwardBf16 {
  const uint16_t* x;    // [rows, in]
  const uint16_t* w;    // [out, in]
  ConstRows bias = {};  // [out] or none
  Rows y;               // [rows, out]
  int64_t rows, in, out;
  int64_t x_stride = 0, w_stride = 0;  // in elements; 0: dense
};
void linear_forward_bf16(const LinearForwardBf16& a);

}  // namespace r1::kernels
