#include "r1/kernels/cpu/rows_io.h"
#include "r1/kernels/cpu/rows_simd.h"

namespace r1::kernels {
namespace {

constexpr int64_t kChunk = 4096;  // part of the contract (softmax.h)

float row_max(const float* z, int64_t n, F16 scale) {
  F16 top[4];
  for (F16& t : top) t = set1(-__builtin_inff());
  int64_t i = 0;
  for (; i + 64 <= n; i += 64)
    for (int j = 0; j < 4; ++j) top[j] = max(load(z + i + 16 * j) * scale, top[j]);
  const F16 low = set1(-__builtin_inff());
  for (; i < n; i += kLanes) top[0] = max(select(mask_first(n - i), load_n(z + i, n - i) * scale, low), top[0]);
  return reduce_max(max(max(top[0], top[1]), max(top[2], top[3])));
}

// Sum of e = exp(z - top), and of e (z - top), over a chunk.
float chunk_sum(const float* z, int64_t n, F16 scale, F16 top) {
  return sum_row(n, [&](int64_t i, int64_t m) { return select(mask_first(m), exp(load_up_to(z + i, m) * scale - top), zero()); });
}
float chunk_weighted(const float* z, int64_t n, F16 scale, F16 top) {
  return sum_row(n, [&](int64_t i, int64_t m) {
    const F16 x = load_up_to(z + i, m) * scale - top, e = exp(x);
    return select(mask_first(m) & (zero() < e), e * x, zero());  // not 0 * -inf
  });
}

void log_prob_row(const LogProb& a, int64_t r) {
  const float* z = a.logits + r * a.row_stride;
  const F16 scale = set1(a.inv_temperature);
  const float top = row_max(z, a.vocab, scale);
  float sum = 0, weighted = 0;
  for (int64_t i = 0; i < a.vocab; i += kChunk) {
    const int64_t n = min_of(kChunk, a.vocab - i);
    sum = sum + chunk_sum(z + i, n, scale, set1(top));
    if (a.entropy) weighted = weighted + chunk_weighted(z + i, n, scale, set1(top));
  }
  const float log_sum = log1(sum), lse = top + log_sum;
  if (a.lse) a.lse[r] = lse;
  if (a.logprob) a.logprob[r] = a.targets[r] < 0 ? 0.0f : z[a.targets[r]] * a.inv_temperature - lse;
  if (a.entropy) a.entropy[r] = log_sum - weighted / sum;
}

void backward_row(const LogProbBackward& a, int64_t r) {
  float* z = a.logits + r * a.row_stride;
  const int64_t target = a.targets[r];
  if (target < 0) return for_vectors(a.vocab, [&](int64_t i, int64_t n) { store_n(z + i, zero(), n); });
  const float factor = a.dlogprob[r] * a.inv_temperature;
  const bool here = target < a.vocab;  // else it is in another part of the row
  const float own = here ? exp1(z[target] * a.inv_temperature - a.lse[r]) : 0;
  const F16 scale = set1(a.inv_temperature), lse = set1(a.lse[r]), minus = set1(-factor);
  for_vectors(a.vocab, [&](int64_t i, int64_t n) { store_n(z + i, minus * exp(load_up_to(z + i, n) * scale - lse), n); });
  if (here) z[target] = factor * (1.0f - own);
}

}  // namespace

template <>
void log_prob_simd<kIsa>(const LogProb& a, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < a.rows; ++r) log_prob_row(a, r);
}

template <>
void log_prob_backward_simd<kIsa>(const LogProbBackward& a, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t r = 0; r < a.rows; ++r) backward_row(a, r);
}

}  // namespace r1::kernels
