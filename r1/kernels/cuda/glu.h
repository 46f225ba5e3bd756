// Activations of an MLP, alone or as a gate (Shazeer, "GLU Variants Improve Transformer", 2020), and their backward, with the formulas of
// kernels/cpu/swiglu.h and gelu.h:  y = f(gate) up;   dup = dy f(gate),  dgate = dy up f'(gate).
//
// Elementwise, a launch each way: one reading of the inputs, one writing of the results, 16 bytes at a time where all addresses and row
// distances allow it. gate and up (and dgate and dup) are two tensors, or the halves of one [rows, 2 dim]: same data offset by dim, rows
// 2 dim apart. dgate and dup may be gate and up. One storage type, arithmetic fp32, one rounding.
#pragma once

#include "r1/kernels/cpu/rows.h"
#include "r1/kernels/cuda/device.h"

namespace r1::kernels::cuda {

enum class Activation { kSilu, kGeluExact, kGeluTanh };

// Row strides in elements; 0: dense. All of one type.
struct Glu {
  Activation activation = Activation::kSilu;
  ConstRows gate, up = {};  // [rows, dim]; up.data may be null: 1
  Rows y;
  int64_t rows = 0, dim = 0;
};
void glu(const Glu& a, Stream stream);

struct GluBackward {
  Activation activation = Activation::kSilu;
  ConstRows gate, up = {}, dy;
  Rows dgate, dup = {};  // dup.data is null when up.data is
  int64_t rows = 0, dim = 0;
};
void glu_backward(const GluBackward& a, Stream stream);

}  // namespace r1::kernels::cuda
