// linear_in of a few rows, and of some inputs alone, for one instruction set.
#pragma once

#include "r1/kernels/cpu/isa.h"
#include "r1/kernels/cpu/linear_in.h"

namespace r1::kernels {

// T: float, or bf16 as uint16_t.
template <class T>
struct FewRowsIn {
  const float* x;  // [rows, x_row]: of row r, x[r * x_row + k] belongs to input inputs[k], k < count
  int64_t x_row, rows;
  const int32_t* inputs;  // ascending; none: all of them, k itself
  int64_t count;
  const T* w;  // [in, out]
  T* y;        // [rows, out]
  int64_t out;
};
// The outputs [begin, end); rows <= kFewRows.
template <Isa>
void few_rows_in_simd(const FewRowsIn<float>& f, int64_t begin, int64_t end);
template <Isa>
void few_rows_in_simd(const FewRowsIn<uint16_t>& f, int64_t begin, int64_t end);

}  // namespace r1::kernels
