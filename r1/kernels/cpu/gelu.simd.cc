#include "r1/kernels/cpu/gelu_simd.h"
#include "r1/kernels/cpu/rows_io.h"
#include "r1/kernels/cpu/rows_simd.h"

namespace r1::kernels {

template <>
void geglu_simd<kIsa>(const GeGlu& a, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < a.rows; ++r)
    for_vectors(a.dim, [&](int64_t i, int64_t n) {
      const F16 y = gelu(read(a.gate, r, i, n), a.form);
      write(a.y, r, i, n, a.up.data ? y * read(a.up, r, i, n) : y);
    });
}

template <>
void geglu_backward_simd<kIsa>(const GeGluBackward& a, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < a.rows; ++r)
    for_vectors(a.dim, [&](int64_t i, int64_t n) {
      const F16 gate = read(a.gate, r, i, n), dy = read(a.dy, r, i, n);
      F16 dgate = dy * gelu_slope(gate, a.form);
      if (a.up.data) {
        dgate = dgate * read(a.up, r, i, n);
        write(a.dup, r, i, n, dy * gelu(gate, a.form));
      }
      write(a.dgate, r, i, n, dgate);
    });
}

}  // namespace r1::kernels
