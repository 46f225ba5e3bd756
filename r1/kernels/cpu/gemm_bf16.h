// Products with factors in bf16; sums are in fp32, and a result in bf16 is rounded once, at the end. Any sizes and alignment.
//
// The forward product of a linear layer, y = x w^T + bias, has a contract of the bits as in gemm_f32.h with the terms in pairs: with
// s = 2 i, an element is ((B0 + B1) + ...) + bias, Bi the chain over 256 pairs of
//
//   acc = fma(x[s+1], w[s+1], acc); acc = fma(x[s], w[s], acc)
//
// (a last s without a partner is alone) which is what vdpbf16ps computes, except that the instruction takes subnormal inputs and results
// for zero. So a row depends neither on the other rows nor on threads, and on the instruction set only where numbers below 1.2e-38 occur.
// It serves every number of rows, a decode step as well as a prefill.
//
// The other products, gemm_mixed, have the bits of gemm_f32.h's on the factors widened to fp32: no other order is asked for, and every
// instruction set does them at nearly the speed of fp32.
//
// Against ATen's bf16 linear with the instruction (one thread, Zen 4, interleaved, medians over four shapes): 1-8 rows 1.2-2.1 times as
// fast, 16 rows 0.95-1.5, 64 rows 0.94-1.1, from 256 rows 0.89-0.95. Without it ATen multiplies bf16 some thirty times slower than fp32.
// Do not mix the two where bits must agree. Threads: as gemm_f32.h.
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

// dx = dy w and dw (+)= dy^T x, each tensor in fp32 or bf16. What is added to is fp32.
struct LinearGradXMixed {
  ConstRows dy;  // [rows, out]
  ConstRows w;   // [out, in]
  Rows dx;       // [rows, in]
  int64_t rows, in, out;
};
void linear_grad_x_mixed(const LinearGradXMixed& a);

struct LinearGradWMixed {
  ConstRows dy;  // [rows, out]
  ConstRows x;   // [rows, in]
  Rows dw;       // [out, in]
  int64_t rows, in, out;
  bool accumulate = false;
};
void linear_grad_w_mixed(const LinearGradWMixed& a);

// Element (i, j) of a factor is data[i * row + j * col]; one of the strides must be 1.
struct Factor {
  const void* data;
  Float type;
  int64_t row, col;
};
// c [rows, cols] (+)= a [rows, sum] b [sum, cols]
struct GemmMixed {
  Factor a, b;
  Rows c;
  int64_t rows, cols, sum;
  bool accumulate = false;
};
void gemm_mixed(const GemmMixed& m);

}  // namespace r1::kernels
