#include "r1/kernels/cpu/rows_io.h"
#include "r1/kernels/cpu/rows_simd.h"

namespace r1::kernels {
namespace {

struct Rotated {
  F16 a, b;
};
R1_INLINE Rotated rotated(F16 a, F16 b, F16 c, F16 s) {
  return {fnma(b, s, a * c), fma(b, c, a * s)};
}

void turn_halves(const Rows& x, int64_t token, int64_t at, const float* cos, const float* sin, int64_t half, bool inverse) {
  for_vectors(half, [&](int64_t i, int64_t n) {
    const F16 s = load_n(sin + i, n);
    const Rotated t = rotated(read(x, token, at + i, n), read(x, token, at + half + i, n), load_n(cos + i, n), inverse ? zero() - s : s);
    write(x, token, at + i, n, t.a);
    write(x, token, at + half + i, n, t.b);
  });
}

// Gathers the pairs into halves, turns them, and puts them back.
void turn_pairs(const Rows& x, int64_t token, int64_t at, const float* cos, const float* sin, int64_t half, bool inverse) {
  float pairs[2 * kLanes], halves[2 * kLanes] = {};
  for_vectors(half, [&](int64_t i, int64_t n) {
    const int64_t first = min_of(kLanes, 2 * n), second = 2 * n - first;
    store(pairs, read(x, token, at + 2 * i, first));
    if (second) store(pairs + kLanes, read(x, token, at + 2 * i + kLanes, second));
    for (int64_t j = 0; j < n; ++j) halves[j] = pairs[2 * j], halves[kLanes + j] = pairs[2 * j + 1];
    const F16 s = load_n(sin + i, n);
    const Rotated t = rotated(load(halves), load(halves + kLanes), load_n(cos + i, n), inverse ? zero() - s : s);
    store(halves, t.a), store(halves + kLanes, t.b);
    for (int64_t j = 0; j < n; ++j) pairs[2 * j] = halves[j], pairs[2 * j + 1] = halves[kLanes + j];
    write(x, token, at + 2 * i, first, load(pairs));
    if (second) write(x, token, at + 2 * i + kLanes, second, load(pairs + kLanes));
  });
}

}  // namespace

template <>
void rope_simd<kIsa>(const Rope& a, int threads) {
  const int64_t half = a.rotary_dim / 2;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t t = 0; t < a.tokens; ++t) {
    const float *cos = a.cos + a.positions[t] * half, *sin = a.sin + a.positions[t] * half;
    for (int64_t h = 0; h < a.heads; ++h) {
      if (a.layout == RopeLayout::kHalves)
        turn_halves(a.x, t, h * a.head_dim, cos, sin, half, a.inverse);
      else
        turn_pairs(a.x, t, h * a.head_dim, cos, sin, half, a.inverse);
    }
  }
}

}  // namespace r1::kernels
