// SwiGLU (Shazeer 2020): y = (gate sigmoid(gate)) up, elementwise on rows; and its backward
//   dup = dy gate s,  dgate = dy up s (1 + gate (1 - s)),  s = sigmoid(gate).
// gate and up are two tensors or the two halves of one [rows, 2 dim] (same data, offset by dim, row_stride = 2 dim); so are dgate and dup,
// and these may be gate and up themselves. Threads: OpenMP over rows.
#pragma once

#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

struct SwiGlu {
  ConstRows gate, up;  // [rows, dim]
  Rows y;
  int64_t rows, dim;
};
void swiglu(const SwiGlu& a);

struct SwiGluBackward {
  ConstRows gate, up, dy;
  Rows dgate, dup;
  int64_t rows, dim;
};
void swiglu_backward(const SwiGluBackward& a);

}  // namespace r1::kernels
