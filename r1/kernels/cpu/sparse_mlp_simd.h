// The parts of sparse_mlp for one instruction set; the last one is linear_in_simd.h's.
#pragma once

#include "r1/kernels/cpu/isa.h"
#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

// y[i] = silu(x[row, i])
template <Isa>
void silu_simd(const ConstRows& x, int64_t row, float* y, int64_t n);

// hidden[r, i] = active[r, i] (x[r] . up[chosen[i]]), 0 where active is. T: float, or bf16 as uint16_t: then the product and the result are
// rounded to bf16.
template <class T>
struct ChosenProducts {
  const T *x, *up;        // [rows, dim], [inner, dim]
  const int32_t* chosen;  // neurons that some token chose, ascending
  const float* active;    // [rows, row], 0 where the token did not choose the neuron
  float* hidden;          // [rows, row]
  int64_t rows, row, dim;
};
// Neurons chosen[begin .. end); rows <= kFewRows. kDot: with the bf16 dot product instruction.
template <Isa>
void chosen_products_simd(const ChosenProducts<float>& c, int64_t begin, int64_t end);
template <Isa, bool kDot>
void chosen_products_bf16_simd(const ChosenProducts<uint16_t>& c, int64_t begin, int64_t end);

}  // namespace r1::kernels
