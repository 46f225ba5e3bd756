// See lsh_attention_simd.h.
#include "r1/kernels/cpu/lsh_attention_simd.h"
#include "r1/kernels/cpu/rows_io.h"
#include "r1/kernels/cpu/tile.h"

namespace r1::kernels {
namespace {

#if defined(R1_SIMD_AVX512)
constexpr int kRows = 8, kVecs = 2;  // 16 accumulators of 32 registers
#elif defined(R1_SIMD_AVX2)
constexpr int kRows = 6, kVecs = 1;  // 12 of 16
#else
constexpr int kRows = 4, kVecs = 1;
#endif
constexpr int64_t kAhead = 16;  // rows that are on their way while one is copied

template <class T>
void gather_rows(const void* const* from, int64_t count, int64_t dim, float* to) {
  const int64_t row = lsh_row(dim), bytes = dim * int64_t(sizeof(T));
  for (int64_t i = 0; i < count; ++i) {
    if (i + kAhead < count)
      for (int64_t b = 0; b < bytes; b += 64) __builtin_prefetch((const char*)from[i + kAhead] + b);
    for (int64_t d = 0; d < dim; d += kLanes) store(to + i * row + d, load_up_to((const T*)from[i] + d, dim - d));
  }
}

// to[i][j] = sum_d rows[i][d] lanes[d][j]
void multiply(const float* rows, int64_t count, int64_t dim, const float* lanes, float* to) {
  const int64_t row = lsh_row(dim);
  for (int64_t i = 0; i < count; i += kRows)
    with_count<kRows>(min_of(kRows, count - i), [&]<int R>() {
      F16 acc[R][1];
      for (auto& x : acc) x[0] = zero();
      const float* const b[1] = {lanes};
      tile_fma<R, 1>(acc, rows + i * row, row, 1, b, kLanes, dim);
      for (int r = 0; r < R; ++r) store(to + (i + r) * kLanes, acc[r][0]);
    });
}

// y[j] += sum_i w[i][j] x[i] for the tile's queries; of the keys, those that this or that of kRows queries sees.
void add_keys(const LshTile& t, const float* w, const float* x, int64_t dim, float* const* y) {
  const int64_t row = lsh_row(dim);
  for (int64_t j = 0; j < t.lanes; j += kRows)
    with_count<kRows>(min_of(kRows, t.lanes - j), [&]<int R>() {
      for (int64_t d = 0; d < row; d += kVecs * kLanes)
        with_count<kVecs>(min_of(kVecs, (row - d) / kLanes), [&]<int NV>() {
          F16 acc[R][NV];
          for (int r = 0; r < R; ++r)
            for (int v = 0; v < NV; ++v) acc[r][v] = load(y[j + r] + d + v * kLanes);
          for (int64_t s = 0; s < t.run_count; ++s) {
            const LshRun& run = t.runs[s];
            const int64_t begin = run.begin + int64_t(run.lo[j] - run.first), end = run.begin + int64_t(run.hi[j + R - 1] - run.first);
            const float* b[NV];
            for (int v = 0; v < NV; ++v) b[v] = x + begin * row + d + v * kLanes;
            tile_fma<R, NV>(acc, w + begin * kLanes + j, 1, kLanes, b, row, end - begin);
          }
          for (int r = 0; r < R; ++r)
            for (int v = 0; v < NV; ++v) store(y[j + r] + d + v * kLanes, acc[r][v]);
        });
    });
}

// y[token[i]] += sum_j w[i][j] x[j] for the tile's keys.
void add_queries(const LshTile& t, const float* w, const float* x, int64_t dim, float* y, int64_t y_row, const int32_t* token) {
  const int64_t row = lsh_row(dim);
  for (int64_t i = 0; i < t.keys; i += kRows)
    with_count<kRows>(min_of(kRows, t.keys - i), [&]<int R>() {
      for (int64_t d = 0; d < row; d += kVecs * kLanes)
        with_count<kVecs>(min_of(kVecs, (row - d) / kLanes), [&]<int NV>() {
          F16 acc[R][NV];
          for (auto& vecs : acc)
            for (F16& a : vecs) a = zero();
          const float* b[NV];
          for (int v = 0; v < NV; ++v) b[v] = x + d + v * kLanes;
          tile_fma<R, NV>(acc, w + i * kLanes, kLanes, 1, b, row, t.lanes);
          for (int r = 0; r < R; ++r)
            for (int v = 0; v < NV; ++v) {
              float* sum = y + token[i + r] * y_row + d + v * kLanes;
              store(sum, load(sum) + acc[r][v]);
            }
        });
    });
}

R1_INLINE Mask within(F16 x, const float* lo, const float* hi) {
  return and_not(x < load(hi), x < load(lo));
}

// The queries that see key i of a run.
R1_INLINE Mask seen(const LshTile& t, const LshRun& run, int64_t i) {
  Mask mask = within(set1(run.first + float(i - run.begin)), run.lo, run.hi);
  const float* range = t.ranges;
  for (int64_t e = 0; e < t.earlier; ++e) {
    const F16 place = set1(t.places[i * t.earlier + e]);
    for (int s = 0; s < 3; ++s, range += 2 * kLanes) mask = and_not(mask, within(place, range, range + kLanes));
  }
  return mask;
}

// f(i, the queries that see key i)
template <class F>
R1_INLINE void for_keys(const LshTile& t, F f) {
  for (int64_t s = 0; s < t.run_count; ++s)
    for (int64_t i = t.runs[s].begin; i < t.runs[s].end; ++i) f(i, seen(t, t.runs[s], i));
}

}  // namespace

template <>
void lsh_gather_simd<kIsa>(Float type, const void* const* from, int64_t count, int64_t dim, float* to) {
  type == Float::kF32 ? gather_rows<float>(from, count, dim, to) : gather_rows<bf16>(from, count, dim, to);
}

template <>
void lsh_transpose_simd<kIsa>(const float* rows, int64_t dim, float* lanes) {
  transpose_to(rows, lsh_row(dim), kLanes, dim, lanes, kLanes);
}

template <>
void lsh_forward_simd<kIsa>(const LshTile& t, LshSoftmax& y) {
  multiply(t.k, t.keys, t.head_dim, t.q_lanes, t.p);
  const F16 scale = set1(t.scale), low = set1(-__builtin_inff()), old = load(y.m);
  F16 top = old;
  for_keys(t, [&](int64_t i, Mask mask) {
    const F16 x = select(mask, load(t.p + i * kLanes) * scale, low);
    store(t.p + i * kLanes, x);
    top = max(top, x);
  });
  const F16 factor = exp(old - top);
  F16 sum = load(y.l) * factor;
  for (int64_t i = 0; i < t.keys; ++i) {
    const F16 e = exp(load(t.p + i * kLanes) - top);
    store(t.p + i * kLanes, e);
    sum = sum + e;
  }
  store(y.m, top), store(y.l, sum);
  float factors[kLanes];
  store(factors, factor);
  for (int64_t j = 0; j < t.lanes; ++j)
    for (int64_t d = 0; d < t.v_dim; d += kLanes) store(y.o[j] + d, load(y.o[j] + d) * set1(factors[j]));
  add_keys(t, t.p, t.v, t.v_dim, y.o);
}

template <>
void lsh_finish_simd<kIsa>(int64_t queries, int64_t v_dim, float* o, const float* m, float* l) {
  const int64_t row = lsh_row(v_dim);
  for (int64_t i = 0; i < queries; ++i)
    for (int64_t d = 0; d < v_dim; d += kLanes) store(o + i * row + d, load(o + i * row + d) / set1(l[i]));
  for_vectors(queries, [&](int64_t i, int64_t n) { store_n(l + i, load_n(m + i, n) + log(load_n(l + i, n)), n); });
}

template <>
void lsh_dots_simd<kIsa>(const float* a, const float* b, int64_t count, int64_t dim, float* y) {
  const int64_t row = lsh_row(dim);
  for (int64_t i = 0; i < count; ++i) {
    F16 sum = zero();
    for (int64_t d = 0; d < row; d += kLanes) sum = fma(load(a + i * row + d), load(b + i * row + d), sum);
    y[i] = reduce_add(sum);
  }
}

template <>
void lsh_backward_simd<kIsa>(const LshTile& t, LshGradient& g) {
  const int64_t k_row = lsh_row(t.head_dim), kv_row = k_row + lsh_row(t.v_dim);
  multiply(t.k, t.keys, t.head_dim, t.q_lanes, t.p);
  multiply(t.v, t.keys, t.v_dim, g.dout_lanes, g.ds);
  const F16 scale = set1(t.scale), lse = load(g.lse), delta = load(g.delta);
  for_keys(t, [&](int64_t i, Mask mask) {
    const F16 p = select(mask, exp(load(t.p + i * kLanes) * scale - lse), zero());
    store(t.p + i * kLanes, p);
    store(g.ds + i * kLanes, p * (load(g.ds + i * kLanes) - delta) * scale);
  });
  add_keys(t, g.ds, t.k, t.head_dim, g.dq);
  add_queries(t, g.ds, t.q, t.head_dim, g.dkv, kv_row, g.token);
  add_queries(t, t.p, g.dout, t.v_dim, g.dkv + k_row, kv_row, g.token);
}

}  // namespace r1::kernels
