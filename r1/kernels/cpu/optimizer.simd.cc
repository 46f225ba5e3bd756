#include "r1/kernels/cpu/rows_io.h"
#include "r1/kernels/cpu/rows_simd.h"

namespace r1::kernels {
namespace {

// f(i, n) for the vectors of [0, count), in parallel.
template <class F>
void parallel_vectors(int64_t count, int threads, F f) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t i = 0; i < count; i += kLanes) f(i, count - i < kLanes ? count - i : kLanes);
}

double power(double base, int64_t n) {
  double p = 1;
  for (; n; n /= 2, base *= base)
    if (n % 2) p *= base;
  return p;
}

}  // namespace

template <>
void adamw_simd<kIsa>(const AdamW& a, int threads) {
  const F16 decay = set1(float(1 - a.lr * a.weight_decay)), rate = set1(float(a.lr / (1 - power(a.beta1, a.step))));
  const F16 beta2 = set1(float(a.beta2)), new1 = set1(float(1 - a.beta1)), new2 = set1(float(1 - a.beta2));
  const F16 correct = set1(float(1 / __builtin_sqrt(1 - power(a.beta2, a.step)))), eps = set1(float(a.eps)), scale = set1(a.grad_scale);
  const ConstRows grad{a.grad, a.grad_type, 0};
  parallel_vectors(a.n, threads, [&](int64_t i, int64_t n) {
    const F16 g = read(grad, 0, i, n) * scale, m0 = load_up_to(a.m + i, n);
    const F16 m = fma(new1, g - m0, m0), v = fma(new2, g * g, beta2 * load_up_to(a.v + i, n));
    const F16 step = m / fma(sqrt(v), correct, eps);
    const F16 w = fnma(rate, step, load_up_to(a.weight + i, n) * decay);
    store_n(a.m + i, m, n), store_n(a.v + i, v, n), store_n(a.weight + i, w, n);
    if (a.weight_bf16) store_n(a.weight_bf16 + i, w, n);
  });
}

template <>
void sum_of_squares_simd<kIsa>(const void* x, Float type, int64_t n, double* chunk_sums, int threads) {
  const int64_t chunks = ceil_div(n, kSquaresChunk);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t c = 0; c < chunks; ++c) {
    const ConstRows rows{x, type, kSquaresChunk};
    chunk_sums[c] = sum_row(min_of(kSquaresChunk, n - c * kSquaresChunk), [&](int64_t i, int64_t m) {
      const F16 v = read(rows, c, i, m);
      return v * v;
    });
  }
}

template <>
void add_scaled_simd<kIsa>(float* y, const float* x, float scale, int64_t n, int threads) {
  parallel_vectors(n, threads,
                   [&](int64_t i, int64_t m) { store_n(y + i, fma(set1(scale), load_up_to(x + i, m), load_up_to(y + i, m)), m); });
}

}  // namespace r1::kernels
