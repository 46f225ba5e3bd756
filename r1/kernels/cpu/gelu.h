// GELU (Hendrycks, Gimpel 2016) of rows, with or without a second factor (GEGLU, Shazeer 2020), and its backward.
//   exact  gelu(x) = x Phi(x),  Phi the normal distribution
//   tanh   gelu(x) = x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)), which is the same as the usual form with tanh (GPT-2, Gemma)
//   y = gelu(gate) up;   dup = dy gelu(gate),  dgate = dy up gelu'(gate)
// Elementwise: an element's bits depend on itself. dgate and dup may be gate and up. Threads: OpenMP over rows.
#pragma once

#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

enum class GeluForm { kExact, kTanh };

struct GeGlu {
  ConstRows gate, up = {};  // [rows, dim]; up.data may be null: 1
  Rows y;
  int64_t rows, dim;
  GeluForm form;
};
void geglu(const GeGlu& a);

struct GeGluBackward {
  ConstRows gate, up = {}, dy;
  Rows dgate, dup = {};  // dup.data is null when up.data is
  int64_t rows, dim;
  GeluForm form;
};
void geglu_backward(const GeGluBackward& a);

}  // namespace r1::kernels
