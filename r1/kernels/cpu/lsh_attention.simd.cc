// See lsh_attention_simd.h. A score is a sum over vectors of 16 lanes in order, then the fixed tree; keys are added in the list's order.
#include "r1/kernels/cpu/lsh_attention_simd.h"
#include "r1/kernels/cpu/simd.h"

namespace r1::kernels {
namespace {

template <class T>
R1_INLINE float dot(const float* a, const T* b, int64_t dim) {
  F16 sum = zero();
  int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) sum = fma(load(a + d), load(b + d), sum);
  if (d < dim) sum = fma(load_n(a + d, dim - d), load_n(b + d, dim - d), sum);
  return reduce_add(sum);
}

// y += w x
template <class T>
R1_INLINE void add_scaled(float* y, float w, const T* x, int64_t dim) {
  int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) store(y + d, fma(set1(w), load(x + d), load(y + d)));
  if (d < dim) store_n(y + d, fma(set1(w), load_n(x + d, dim - d), load_n(y + d, dim - d)), dim - d);
}

// y = sum_i w[i] rows[i], i ascending.
template <class T>
R1_INLINE void weighted_sum(float* y, const float* w, const void* const* rows, int64_t count, int64_t dim) {
  int64_t d = 0;
  for (; d + 2 * kLanes <= dim; d += 2 * kLanes) {
    F16 a = zero(), b = zero();
    for (int64_t i = 0; i < count; ++i) {
      const T* x = (const T*)rows[i] + d;
      a = fma(set1(w[i]), load(x), a), b = fma(set1(w[i]), load(x + kLanes), b);
    }
    store(y + d, a), store(y + d + kLanes, b);
  }
  for (; d < dim; d += kLanes) {
    const int64_t n = min_of(kLanes, dim - d);
    F16 a = zero();
    for (int64_t i = 0; i < count; ++i) a = fma(set1(w[i]), load_n((const T*)rows[i] + d, n), a);
    store_n(y + d, a, n);
  }
}

template <class T>
float forward_of(const GatheredQuery& g, float* out) {
  for (int64_t i = 0; i < g.count; ++i) g.p[i] = g.scale * dot(g.q, (const T*)g.k[i], g.head_dim);
  for (int64_t i = g.count; i < round_up(g.count, kLanes); ++i) g.p[i] = -__builtin_inff();
  F16 top = load(g.p), sum = zero();
  for (int64_t i = kLanes; i < g.count; i += kLanes) top = max(top, load(g.p + i));
  const float highest = reduce_max(top);
  for (int64_t i = 0; i < g.count; i += kLanes) {
    const F16 e = exp(load(g.p + i) - set1(highest));
    store(g.p + i, e);
    sum = sum + e;
  }
  const float l = reduce_add(sum);
  weighted_sum<T>(out, g.p, g.v, g.count, g.v_dim);
  for (int64_t d = 0; d < g.v_dim; ++d) out[d] = out[d] / l;
  return highest + log1(l);
}

template <class T>
void backward_of(const GatheredQuery& g, const GatheredGradient& b) {
  const float delta = dot(b.dout, b.out, g.v_dim);
  for (int64_t i = 0; i < g.count; ++i) {
    g.p[i] = g.scale * dot(g.q, (const T*)g.k[i], g.head_dim);
    b.ds[i] = dot(b.dout, (const T*)g.v[i], g.v_dim);
  }
  for (int64_t i = g.count; i < round_up(g.count, kLanes); ++i) g.p[i] = b.ds[i] = 0;
  for (int64_t i = 0; i < g.count; i += kLanes) {
    const F16 p = exp(load(g.p + i) - set1(b.lse));
    store(g.p + i, p);
    store(b.ds + i, p * (load(b.ds + i) - set1(delta)) * set1(g.scale));
  }
  weighted_sum<T>(b.dq, b.ds, g.k, g.count, g.head_dim);
  for (int64_t i = 0; i < g.count; ++i) {
    add_scaled(b.dk + b.row[i] * g.head_dim, b.ds[i], g.q, g.head_dim);
    add_scaled(b.dv + b.row[i] * g.v_dim, g.p[i], b.dout, g.v_dim);
  }
}

}  // namespace

template <>
float GatherSimd<kIsa>::forward(const GatheredQuery& g, float* out) {
  return g.type == Float::kF32 ? forward_of<float>(g, out) : forward_of<bf16>(g, out);
}

template <>
void GatherSimd<kIsa>::backward(const GatheredQuery& g, const GatheredGradient& d) {
  g.type == Float::kF32 ? backward_of<float>(g, d) : backward_of<bf16>(g, d);
}

}  // namespace r1::kernels
