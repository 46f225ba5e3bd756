#include "r1/kernels/cpu/layer_norm.h"

#include "r1/kernels/cpu/gelu_simd.h"
#include "r1/kernels/cpu/rows_io.h"
#include "r1/kernels/cpu/rows_simd.h"

namespace r1::kernels {
namespace {

constexpr int64_t kChain = 256, kColumns = 64;

void norm_row(const LayerNorm& a, int64_t r) {
  const float mean = sum_row(a.dim, [&](int64_t i, int64_t n) { return read(a.x, r, i, n); }) / float(a.dim);
  const float squares = sum_row(a.dim, [&](int64_t i, int64_t n) {
    const F16 d = read(a.x, r, i, n) - set1(mean);
    return select(mask_first(n), d * d, zero());
  });
  const float rstd = 1.0f / __builtin_sqrtf(squares / float(a.dim) + a.eps);
  for_vectors(a.dim, [&](int64_t i, int64_t n) {
    const F16 xhat = (read(a.x, r, i, n) - set1(mean)) * set1(rstd);
    const F16 z = fma(xhat, read(a.weight, 0, i, n), read(a.bias, 0, i, n));
    write(a.y, r, i, n, a.gelu ? gelu(z, a.form) : z);
  });
  if (a.mean) a.mean[r] = mean, a.rstd[r] = rstd;
}

R1_INLINE F16 xhat_at(const LayerNormBackward& a, int64_t r, int64_t i, int64_t n) {
  return (read(a.x, r, i, n) - set1(a.mean[r])) * set1(a.rstd[r]);
}

// dx = dz, from where the rest goes on.
void through_gelu(const LayerNormBackward& a, int64_t r) {
  for_vectors(a.dim, [&](int64_t i, int64_t n) {
    const F16 z = fma(xhat_at(a, r, i, n), read(a.weight, 0, i, n), read(a.bias, 0, i, n));
    write(a.dx, r, i, n, read(a.dy, r, i, n) * gelu_slope(z, a.form));
  });
}

// `dz` may lie where dx does.
void backward_row(const LayerNormBackward& a, const ConstRows& dz, int64_t r) {
  const auto weighted = [&](int64_t i, int64_t n) { return read(dz, r, i, n) * read(a.weight, 0, i, n); };
  const F16 mean_g = set1(sum_row(a.dim, weighted) / float(a.dim));
  const F16 mean_gx = set1(sum_row(a.dim, [&](int64_t i, int64_t n) { return weighted(i, n) * xhat_at(a, r, i, n); }) / float(a.dim));
  for_vectors(a.dim, [&](int64_t i, int64_t n) {
    write(a.dx, r, i, n, fnma(xhat_at(a, r, i, n), mean_gx, weighted(i, n) - mean_g) * set1(a.rstd[r]));
  });
}

// Columns [first, first + 64) of dweight and dbias.
void backward_columns(const LayerNormBackward& a, const ConstRows& dz, int64_t first) {
  for (int64_t i = first; i < a.dim && i < first + kColumns; i += kLanes) {
    const int64_t n = min_of(kLanes, a.dim - i);
    F16 weight = zero(), bias = zero();
    for (int64_t r0 = 0; r0 < a.rows; r0 += kChain) {
      F16 w = zero(), b = zero();
      for (int64_t r = r0; r < r0 + kChain && r < a.rows; ++r) {
        const F16 d = read(dz, r, i, n);
        w = fma(d, xhat_at(a, r, i, n), w), b = b + d;
      }
      weight = weight + w, bias = bias + b;
    }
    if (a.dweight) store_n(a.dweight + i, weight, n);
    if (a.dbias) store_n(a.dbias + i, bias, n);
  }
}

}  // namespace

template <>
void layer_norm_simd<kIsa>(const LayerNorm& a, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < a.rows; ++r) norm_row(a, r);
}

template <>
void layer_norm_backward_simd<kIsa>(const LayerNormBackward& a, int threads) {
  if (a.gelu) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < a.rows; ++r) through_gelu(a, r);
  }
  const ConstRows dz = a.gelu ? ConstRows(a.dx) : a.dy;
  if (a.dweight || a.dbias) {  // first: dx may lie over dz
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t i = 0; i < a.dim; i += kColumns) backward_columns(a, dz, i);
  }
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < a.rows; ++r) backward_row(a, dz, r);
}

}  // namespace r1::kernels
