// The parts of sparse_mlp for one instruction set. Neurons are chosen[i], ascending.
#pragma once

#include "r1/kernels/cpu/isa.h"
#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

// y[i] = silu(x[row, i])
template <Isa>
void silu_simd(const ConstRows& x, int64_t row, float* y, int64_t n);

// What one token asks of the rows of `up` (float, or bf16 as uint16_t).
template <class T>
struct ChosenProducts {
  const T *x, *up;
  const int32_t* chosen;
  const float* active;
  float* hidden;
  int64_t dim;
};
// hidden[i] = active[i] (x . up[chosen[i]]) for i in [begin, end)
template <Isa>
void chosen_products_simd(const ChosenProducts<float>& c, int64_t begin, int64_t end);
// The same with the product and the result rounded to bf16. kDot: with the bf16 dot product instruction.
template <Isa, bool kDot>
void chosen_products_bf16_simd(const ChosenProducts<uint16_t>& c, int64_t begin, int64_t end);

template <class T>
struct ChosenSum {
  const float* hidden;
  const T* down;
  const int32_t* chosen;
  int64_t count;
  T* y;
  int64_t dim;
};
// y[i] = sum over k of hidden[k] down[chosen[k], i] for i in [begin, end); begin and end multiples of 16 or dim
template <Isa>
void chosen_sum_simd(const ChosenSum<float>& c, int64_t begin, int64_t end);
template <Isa>
void chosen_sum_simd(const ChosenSum<uint16_t>& c, int64_t begin, int64_t end);

}  // namespace r1::kernels
