// y = x w with a weight that lies [in, out], input by input, for sparse x (ops/linear_in). The sums are gemm_f32's: an element is
// (B0 + B1) + ..., Bi the chain of fmas from 0 over 256 inputs ascending, in fp32 whatever is stored; rounded once where y is bf16. So an
// input of 0 changes nothing and may be left out (cpu/sparse_mlp), a row knows nothing of the others, and all instruction sets agree.
//
// Up to kFewRows rows, w is read once, row by row as it lies; above, it is packed (gemm). Threads: OpenMP, over the outputs.
#pragma once

#include <cstdint>

#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

inline constexpr int64_t kFewRows = 8;

struct LinearIn {
  const float* x;  // [rows, in]; all dense
  ConstRows w;     // [in, out]
  Rows y;          // [rows, out], of w's type
  int64_t rows, in, out;
};
void linear_in(const LinearIn& a);

}  // namespace r1::kernels
