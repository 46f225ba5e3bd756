#include "r1/kernels/cpu/rows_io.h"
#include "r1/kernels/cpu/rows_simd.h"

namespace r1::kernels {

template <>
void swiglu_simd<kIsa>(const SwiGlu& a, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < a.rows; ++r)
    for_vectors(a.dim, [&](int64_t i, int64_t n) {
      const F16 gate = read(a.gate, r, i, n);
      write(a.y, r, i, n, gate * sigmoid(gate) * read(a.up, r, i, n));
    });
}

template <>
void swiglu_backward_simd<kIsa>(const SwiGluBackward& a, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < a.rows; ++r)
    for_vectors(a.dim, [&](int64_t i, int64_t n) {
      const F16 gate = read(a.gate, r, i, n), up = read(a.up, r, i, n), dy = read(a.dy, r, i, n), s = sigmoid(gate);
      write(a.dup, r, i, n, dy * (gate * s));
      write(a.dgate, r, i, n, dy * up * (s * fma(gate, set1(1.0f) - s, set1(1.0f))));
    });
}

}  // namespace r1::kernels
