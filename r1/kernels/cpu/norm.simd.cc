#include "r1/kernels/cpu/rows_io.h"
#include "r1/kernels/cpu/rows_simd.h"

namespace r1::kernels {
namespace {

constexpr int64_t kChain = 256, kColumns = 64;

void norm_row(const RmsNorm& a, int64_t r) {
  ConstRows x = a.x;
  if (a.residual.data) {
    for_vectors(a.dim, [&](int64_t i, int64_t n) { write(a.sum, r, i, n, read(a.x, r, i, n) + read(a.residual, r, i, n)); });
    x = a.sum;
  }
  const float squares = sum_row(a.dim, [&](int64_t i, int64_t n) {
    const F16 v = read(x, r, i, n);
    return v * v;
  });
  const float rstd = 1.0f / __builtin_sqrtf(squares / float(a.dim) + a.eps);
  for_vectors(a.dim, [&](int64_t i, int64_t n) {
    const F16 v = read(x, r, i, n) * set1(rstd);
    write(a.y, r, i, n, a.weight.data ? v * (read(a.weight, 0, i, n) + set1(a.offset)) : v);
  });
  if (a.rstd) a.rstd[r] = rstd;
}

R1_INLINE F16 weighted(const RmsNormBackward& a, int64_t r, int64_t i, int64_t n) {
  const F16 dy = read(a.dy, r, i, n);
  return a.weight.data ? dy * (read(a.weight, 0, i, n) + set1(a.offset)) : dy;
}

void backward_row(const RmsNormBackward& a, int64_t r) {
  const float rstd = a.rstd[r];
  const float dot = sum_row(a.dim, [&](int64_t i, int64_t n) { return weighted(a, r, i, n) * read(a.x, r, i, n); });
  const F16 c = set1(rstd * rstd * (dot / float(a.dim)));
  for_vectors(a.dim, [&](int64_t i, int64_t n) {
    F16 dx = fnma(read(a.x, r, i, n), c, weighted(a, r, i, n)) * set1(rstd);
    if (a.dsum.data) dx = dx + read(a.dsum, r, i, n);
    write(a.dx, r, i, n, dx);
  });
}

// Columns [first, first + 64) of dweight.
void backward_columns(const RmsNormBackward& a, int64_t first) {
  for (int64_t i = first; i < a.dim && i < first + kColumns; i += kLanes) {
    const int64_t n = min_of(kLanes, a.dim - i);
    F16 total = a.accumulate ? load_n(a.dweight + i, n) : zero();
    for (int64_t r0 = 0; r0 < a.rows; r0 += kChain) {
      F16 sum = zero();
      for (int64_t r = r0; r < r0 + kChain && r < a.rows; ++r) sum = fma(read(a.dy, r, i, n), read(a.x, r, i, n) * set1(a.rstd[r]), sum);
      total = total + sum;
    }
    store_n(a.dweight + i, total, n);
  }
}

}  // namespace

template <>
void rms_norm_simd<kIsa>(const RmsNorm& a, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < a.rows; ++r) norm_row(a, r);
}

template <>
void rms_norm_backward_simd<kIsa>(const RmsNormBackward& a, int threads) {
  if (a.dweight) {  // first: dx may lie over dy
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t i = 0; i < a.dim; i += kColumns) backward_columns(a, i);
  }
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < a.rows; ++r) backward_row(a, r);
}

}  // namespace r1::kernels
