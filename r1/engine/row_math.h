// Loops over one row of logits, fast on any x86: maximum, first maximum, and the draw (log-sum-exp is kernels/cpu/softmax.h).
#pragma once

#include <cstdint>

namespace r1::engine {

float row_max(const float* z, int64_t n);       // NaN if any element is
int64_t row_argmax(const float* z, int64_t n);  // the first of equal maxima
// Draws i with probability proportional to exp((z_i - max) / temperature): the first i whose cumulative weight exceeds u times the total.
// weights: n floats of scratch.
int64_t draw_row(const float* z, int64_t n, float max, float temperature, double u, float* weights);

}  // namespace r1::engine
