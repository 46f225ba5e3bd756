// Dropout whose mask is a function of (seed, stream, index of the element) alone (r1/base/rng.h): recomputation, resumption and the
// backward see the same mask. Element i is kept when word i % 4 of philox(counter i / 4, stream; key seed) >= p 2^32; what is kept is
// multiplied by 1 / (1 - p).
#pragma once

#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

// y[i] = kept(first + i) ? x[i] / (1 - p) : 0, 0 <= p < 1; y may be x. The backward is the same call on the gradient.
struct Dropout {
  const void* x;
  void* y;
  Float type = Float::kF32;
  int64_t n;
  double p;
  uint64_t seed, stream;
  uint64_t first = 0;  // index of element 0: rows of a larger tensor can be done apart
};
void dropout(const Dropout& a);

}  // namespace r1::kernels
