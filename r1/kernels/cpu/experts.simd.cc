#include "r1/kernels/cpu/experts_simd.h"
#include "r1/kernels/cpu/rows_io.h"

namespace r1::kernels {
namespace {

void softmax_row(const float* x, float* y, int64_t n) {
  float largest = x[0];
  for (int64_t i = 1; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  for_vectors(n, [&](int64_t i, int64_t m) { store_n(y + i, exp(load_n(x + i, m) - set1(largest)), m); });
  const float sum = sum_row(n, [&](int64_t i, int64_t m) { return load_n(y + i, m); });
  for_vectors(n, [&](int64_t i, int64_t m) { store_n(y + i, load_n(y + i, m) / set1(sum), m); });
}

}  // namespace

template <>
void expert_scores_simd<kIsa>(const ExpertScores& a, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < a.rows; ++r) {
    const float* x = a.logits + r * a.experts;
    float* y = a.scores + r * a.experts;
    if (a.softmax)
      softmax_row(x, y, a.experts);
    else
      for_vectors(a.experts, [&](int64_t i, int64_t n) { store_n(y + i, sigmoid(load_n(x + i, n)), n); });
  }
}

template <>
void expert_scores_backward_simd<kIsa>(const ExpertScoresBackward& a, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < a.rows; ++r) {
    const float *s = a.scores + r * a.experts, *ds = a.dscores + r * a.experts;
    float* dx = a.dlogits + r * a.experts;
    const float mean = a.softmax ? sum_row(a.experts, [&](int64_t i, int64_t n) { return load_n(s + i, n) * load_n(ds + i, n); }) : 0;
    for_vectors(a.experts, [&](int64_t i, int64_t n) {
      const F16 v = load_n(s + i, n), dv = load_n(ds + i, n);
      store_n(dx + i, a.softmax ? v * (dv - set1(mean)) : dv * (v * (set1(1.0f) - v)), n);
    });
  }
}

template <>
void combine_rows_simd<kIsa>(const CombineRows& a, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t t = 0; t < a.tokens; ++t) {
    const int64_t* place = a.place + t * a.per_token;
    const float* gates = a.gates ? a.gates + t * a.per_token : nullptr;
    for_vectors(a.dim, [&](int64_t i, int64_t n) {
      F16 sum = zero();
      for (int64_t k = 0; k < a.per_token; ++k) {
        const F16 y = read(a.y, place[k], i, n);
        sum = gates ? fma(set1(gates[k]), y, sum) : sum + y;
      }
      write(a.out, t, i, n, sum);
    });
  }
}

template <>
void combine_rows_backward_simd<kIsa>(const CombineRowsBackward& a, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t t = 0; t < a.tokens; ++t)
    for (int64_t k = 0; k < a.per_token; ++k) {
      const int64_t row = a.place[t * a.per_token + k];
      const F16 gate = set1(a.gates[t * a.per_token + k]);
      for_vectors(a.dim, [&](int64_t i, int64_t n) { write(a.dy, row, i, n, gate * read(a.dout, t, i, n)); });
      a.dgates[t * a.per_token + k] = sum_row(a.dim, [&](int64_t i, int64_t n) { return read(a.dout, t, i, n) * read(a.y, row, i, n); });
    }
}

}  // namespace r1::kernels
