// See lsh_attention_simd.h.
#include "r1/kernels/cpu/lsh_attention_simd.h"
#include "r1/kernels/cpu/rows_io.h"
#include "r1/kernels/cpu/tile.h"

namespace r1::kernels {
namespace {

#if defined(R1_SIMD_AVX512)
constexpr int kRows = 8, kVecs = 2, kLoneVecs = 8;  // 16 accumulators of 32 registers
#elif defined(R1_SIMD_AVX2)
constexpr int kRows = 6, kVecs = 1, kLoneVecs = 4;  // 12 of 16
#else
constexpr int kRows = 4, kVecs = 1, kLoneVecs = 1;
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

R1_INLINE void prefetch_row(const void* row, int64_t bytes) {
  for (int64_t b = 0; b < bytes; b += 64) __builtin_prefetch((const char*)row + b);
}

// p[i] = scale q . k[i]: 16 keys are the lanes, and the sums run over the dims in order as they do in a tile.
template <class T>
void lone_scores(const LshLoneQuery& t) {
  const int64_t dim = t.head_dim;
  for (int64_t i = 0; i < t.keys; i += kLanes) {
    for (int64_t r = kLanes; r < 2 * kLanes && i + r < t.keys; ++r) prefetch_row(t.k[i + r], dim * int64_t(sizeof(T)));
    F16 acc = zero(), block[kLanes];
    for (int64_t d = 0; d < dim; d += kLanes) {
      const int64_t n = min_of(kLanes, dim - d);
      if (n == kLanes) {
#pragma GCC unroll 16
        for (int r = 0; r < kLanes; ++r) block[r] = load((const T*)t.k[i + r] + d);
        transpose(block);
#pragma GCC unroll 16
        for (int r = 0; r < kLanes; ++r) acc = fma(set1(t.q[d + r]), block[r], acc);
      } else {
        for (int r = 0; r < kLanes; ++r) block[r] = load_n((const T*)t.k[i + r] + d, n);
        transpose(block);
        for (int r = 0; r < n; ++r) acc = fma(set1(t.q[d + r]), block[r], acc);
      }
    }
    store(t.p + i, acc * set1(t.scale));
  }
}

// The scores become exp(score - m) of their stage.
void lone_softmax(const LshLoneQuery& t, float* m, float* l) {
  const F16 low = set1(-__builtin_inff());
  for (int64_t s = 0, begin = 0; s < t.stages; begin = t.ends[s++]) {
    const int64_t end = t.ends[s];
    F16 top = set1(*m);
    for (int64_t i = begin; i < end; i += kLanes)
      top = max(top, end - i < kLanes ? select(mask_first(end - i), load_n(t.p + i, end - i), low) : load(t.p + i));
    const float old = *m;
    *m = reduce_max(top);
    t.factors[s] = exp1(old - *m);
    for_vectors(end - begin, [&](int64_t i, int64_t n) {
      float* p = t.p + begin + i;
      n < kLanes ? store_n(p, exp(load_n(p, n) - set1(*m)), n) : store(p, exp(load(p) - set1(*m)));
    });
    float sum = *l * t.factors[s];
    for (int64_t i = begin; i < end; ++i) sum += t.p[i];
    *l = sum;
  }
}

// o[d ..] of NV vectors, the last of which has n elements.
template <int NV, class T>
R1_INLINE void lone_values(const LshLoneQuery& t, int64_t d, int64_t n, float* o) {
  F16 acc[NV];
  for (F16& x : acc) x = zero();
  for (int64_t s = 0, i = 0; s < t.stages; ++s) {
    for (F16& x : acc) x = x * set1(t.factors[s]);
    for (; i < t.ends[s]; ++i) {
      if (i + kAhead < t.keys) prefetch_row((const T*)t.v[i + kAhead] + d, NV * kLanes * int64_t(sizeof(T)));
      const F16 p = set1(t.p[i]);
      const T* v = (const T*)t.v[i] + d;
#pragma GCC unroll 8
      for (int x = 0; x < NV; ++x) acc[x] = fma(p, x == NV - 1 && n < kLanes ? load_n(v + x * kLanes, n) : load(v + x * kLanes), acc[x]);
    }
  }
  for (int x = 0; x < NV; ++x) store(o + d + x * kLanes, acc[x]);
}

template <class T>
void lone_query(const LshLoneQuery& t, float* o, float* m, float* l) {
  lone_scores<T>(t);
  lone_softmax(t, m, l);
  for (int64_t d = 0; d < t.v_dim; d += kLoneVecs * kLanes)
    with_count<kLoneVecs>(min_of(kLoneVecs, ceil_div(t.v_dim - d, kLanes)),
                          [&]<int NV>() { lone_values<NV, T>(t, d, min_of(kLanes, t.v_dim - d - (NV - 1) * kLanes), o); });
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
void lsh_lone_simd<kIsa>(const LshLoneQuery& t, float* o, float* m, float* l) {
  t.type == Float::kF32 ? lone_query<float>(t, o, m, l) : lone_query<bf16>(t, o, m, l);
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
