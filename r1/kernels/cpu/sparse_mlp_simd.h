// The parts of sparse_mlp for one instruction set.
#pragma once

#include "r1/kernels/cpu/isa.h"
#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

// y[i] = silu(x[i])
template <Isa>
void silu_simd(const ConstRows& x, int64_t row, float* y, int64_t n);
// h[i] = a[i] (x . up[chosen[i]]) for i in [begin, end)
template <Isa>
void chosen_products_simd(const float* x, const float* up, const int32_t* chosen, const float* a, float* h, int64_t dim, int64_t begin,
                          int64_t end);
// y[i] = sum over k of h[k] down[chosen[k], i] for i in [begin, end); begin and end multiples of 16 or dim
template <Isa>
void chosen_sum_simd(const float* h, const float* down, const int32_t* chosen, int64_t count, float* y, int64_t dim, int64_t begin,
                     int64_t end);

}  // namespace r1::kernels
