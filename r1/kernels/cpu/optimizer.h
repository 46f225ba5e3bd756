// What an optimizer does to flat arrays. Elementwise, or sums in a fixed order: no result depends on the thread count or the instruction
// set.
#pragma once

#include <cstdint>

#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

// AdamW (Loshchilov, Hutter 2019), step counted from 1, with g = grad_scale * grad:
//   w -= lr weight_decay w;  m += (1 - beta1)(g - m);  v = beta2 v + (1 - beta2) g^2;  w -= lr / (1 - beta1^step) m / (sqrt(v / (1 -
//   beta2^step)) + eps)
struct AdamW {
  float* weight;  // fp32 (the master copy when weight_bf16 is given)
  const void* grad;
  Float grad_type = Float::kF32;
  float *m, *v;
  uint16_t* weight_bf16 = nullptr;  // receives the rounded weight, or none
  int64_t n;
  double lr, beta1, beta2, eps, weight_decay;
  int64_t step;
  float grad_scale = 1;
};
void adamw(const AdamW& a);

// Sum of squares: chunks of 16384 summed in fp32 lanes, the chunks' sums in double, ascending.
double sum_of_squares(const void* x, Float type, int64_t n);

// y += scale * x (one fma an element).
void add_scaled(float* y, const float* x, float scale, int64_t n);

}  // namespace r1::kernels
