// The forward of attention and the packing of keys into tiles. A unit of work is some queries (tokens x the heads of a group) of one kv
// head.
#include <omp.h>

#include "r1/kernels/cpu/attention_scores.h"
#include "r1/kernels/cpu/scratch.h"

namespace r1::kernels {
namespace {

// Where tile t of a sequence's keys and its rows of values are.
template <class T>
struct Keys {
  const SequenceKeys& s;
  const KvPool& pool;
  int64_t kv_head, head_dim, v_row;

  const T* block(int64_t t) const {
    const int64_t per_block = pool.block_size / kKeyTile;
    const char* base = (const char*)pool.data + s.blocks[t / per_block] * pool.block_stride;
    return (const T*)base + kv_head * pool.block_size * (head_dim + v_row);
  }
  const T* keys(int64_t t) const {
    if (!s.blocks) return (const T*)(s.k_tiles + kv_head * s.k_head_stride + t * kKeyTile * head_dim);
    return block(t) + t % (pool.block_size / kKeyTile) * kKeyTile * head_dim;
  }
  const T* values(int64_t t) const {
    if (!s.blocks) return (const T*)(s.v + kv_head * s.v_head_stride + t * kKeyTile * s.v_step);
    return block(t) + pool.block_size * head_dim + t % (pool.block_size / kKeyTile) * kKeyTile * v_row;
  }
  int64_t value_step() const { return s.blocks ? v_row : s.v_step; }
};

// The queries of a unit and their running state.
struct Queries {
  int64_t count, q_row, v_row;
  float *q, *o, *m, *l;
  Span* span;
  const float** bias;  // [count] by key; null: none

  Queries(int64_t n, int64_t q_dim, int64_t v_dim) : count(n), q_row(round_up(q_dim, kLanes)), v_row(round_up(v_dim, kLanes)) {
    char* p = (char*)scratch_bytes(Scratch::kAttentionUnit, n * ((q_row + v_row + 2) * sizeof(float) + sizeof(Span) + sizeof(float*)));
    span = (Span*)p;
    bias = (const float**)(span + n);
    q = (float*)(bias + n);
    o = q + n * q_row;
    m = o + n * v_row;
    l = m + n;
  }
};

// Scores of one row in p become probabilities relative to its new maximum; m and l move on, the factor for o is returned.
struct Softmaxed {
  float old_max, sum;
};
// `bias`: of the step's keys, or null.
R1_INLINE Softmaxed softmax_row(const AttentionShape& s, float* p, int64_t tiles, int64_t lo, int64_t hi, const float* bias, float& m) {
  const F16 low = set1(-__builtin_inff());
  F16 x[kStepTiles], top = low;
  for (int64_t t = 0; t < kStepTiles; ++t) {
    x[t] = t < tiles ? select(lanes_between(t, lo, hi), scored(s, load(p + t * kLanes), bias ? bias + t * kLanes : nullptr), low) : low;
    top = max(top, x[t]);
  }
  const float old = m, highest = reduce_max(top);
  m = highest > old ? highest : old;
  F16 sum = zero();
  for (int64_t t = 0; t < kStepTiles; ++t) {
    const F16 e = exp(x[t] - set1(m));
    store(p + t * kLanes, e);
    sum = sum + e;
  }
  return {old, reduce_add(sum)};
}

// One step of keys for rows [r0, r0 + n), n <= kRows.
template <class T>
void step_rows(const AttentionShape& s, const Keys<T>& keys, Queries& q, int64_t r0, int64_t n, int64_t step) {
  alignas(64) float p[kRows * kStep], factor[kLanes] = {};
  const int64_t first = step * kStep, tile0 = step * kStepTiles;
  const int64_t tiles = min_of(kStepTiles, ceil_div(q.span[r0 + n - 1].hi - first, kKeyTile));
  const T* k[kStepTiles];
  for (int64_t t = 0; t < tiles; ++t) k[t] = keys.keys(tile0 + t);
  dot_tiles(q.q + r0 * q.q_row, q.q_row, n, k, tiles, s.head_dim, p);

  float sums[kRows];
  for (int64_t r = 0; r < n; ++r) {
    const Span span = q.span[r0 + r];
    const Softmaxed x = softmax_row(s, p + r * kStep, tiles, span.lo - first, span.hi - first,
                                    q.bias[r0 + r] ? q.bias[r0 + r] + first : nullptr, q.m[r0 + r]);
    factor[r] = x.old_max - q.m[r0 + r];
    sums[r] = x.sum;
  }
  store(factor, exp(load(factor)));
  for (int64_t r = 0; r < n; ++r) {
    q.l[r0 + r] = fma1(q.l[r0 + r], factor[r], sums[r]);
    float* o = q.o + (r0 + r) * q.v_row;
    for (int64_t d = 0; d < q.v_row; d += kLanes) store(o + d, load(o + d) * set1(factor[r]));
  }

  // Rows that see the same keys of this step go together; keys outside a row's span are not touched, whatever lies there.
  for (int64_t r = 0; r < n;) {
    const int64_t lo = max_of(0, q.span[r0 + r].lo - first), hi = min_of(kStep, q.span[r0 + r].hi - first);
    int64_t end = r + 1;
    while (end < n && max_of(0, q.span[r0 + end].lo - first) == lo && min_of(kStep, q.span[r0 + end].hi - first) == hi) ++end;
    const int64_t v_step = keys.value_step();
    for (int64_t t = lo / kKeyTile; t * kKeyTile < hi;) {
      const T* v = keys.values(tile0 + t);
      int64_t next = t + 1;  // tiles that follow each other in memory are one
      while (next * kKeyTile < hi && keys.values(tile0 + next) == v + (next - t) * kKeyTile * v_step) ++next;
      const int64_t from = max_of(lo, t * kKeyTile), to = min_of(hi, next * kKeyTile);
      add_rows(q.o + (r0 + r) * q.v_row, q.v_row, p + r * kStep + from, kStep, 1, end - r, v + (from - t * kKeyTile) * v_step, v_step,
               to - from, q.v_row / kLanes);
      t = next;
    }
    r = end;
  }
}

template <class T>
void run_unit(const AttentionWork& w, const AttentionUnit& u) {
  const AttentionShape& s = w.shape;
  const SequenceKeys& seq = w.sequences[u.sequence];
  const int64_t group = s.heads / s.kv_heads, head0 = u.kv_head * group;
  const Keys<T> keys{seq, w.pool, u.kv_head, s.head_dim, round_up(s.v_dim, kLanes)};
  Queries q((u.row_end - u.row_begin) * group, s.head_dim, s.v_dim);

  for (int64_t r = 0; r < q.count; ++r) {
    const int64_t row = u.row_begin + r / group, token = seq.q_begin + row;
    read_row(w.q, token * w.q.row_stride + (head0 + r % group) * s.head_dim, s.head_dim, q.q + r * q.q_row);
    for (int64_t d = 0; d < q.v_row; d += kLanes) store(q.o + r * q.v_row + d, zero());
    q.m[r] = -__builtin_inff(), q.l[r] = 0;
    const int64_t position = seq.keys - seq.q_rows + row;
    q.span[r] = visible(s, position, seq.keys);
    q.bias[r] = s.bias ? s.bias + bias_offset(s, head0 + r % group, position) : nullptr;
  }

  const int64_t steps = ceil_div(q.span[q.count - 1].hi, kStep);
  int64_t begin = 0, end = 0;  // rows that see anything of a step: spans ascend, so they are a window of rows
  for (int64_t step = q.span[0].lo / kStep; step < steps; ++step) {
    while (begin < q.count && q.span[begin].hi <= step * kStep) ++begin;
    while (end < q.count && q.span[end].lo < (step + 1) * kStep) ++end;
    const int64_t chunks = ceil_div(end - begin, kRows);
    for (int64_t c = 0; c < chunks; ++c) {
      const int64_t r0 = begin + (end - begin) * c / chunks, r1 = begin + (end - begin) * (c + 1) / chunks;
      step_rows(s, keys, q, r0, r1 - r0, step);
    }
  }

  for (int64_t r = 0; r < q.count; ++r) {
    const int64_t token = seq.q_begin + u.row_begin + r / group, head = head0 + r % group;
    float* o = q.o + r * q.v_row;
    const F16 l = set1(q.l[r]);
    for (int64_t d = 0; d < q.v_row; d += kLanes) store(o + d, load(o + d) / l);
    write_row(w.out, token * w.out.row_stride + head * s.v_dim, s.v_dim, o);
    if (w.lse) w.lse[token * s.heads + head] = q.m[r] + log1(q.l[r]);
  }
}

template <class T>
void pack_head(const TilePacking& p, int64_t sequence, int64_t head) {
  const int64_t begin = p.cu_seqlens[sequence], n = p.cu_seqlens[sequence + 1] - begin;
  const int64_t tiles = p.tiles_begin[sequence + 1] - p.tiles_begin[sequence];
  float* dst = p.tiles + (p.tiles_begin[sequence] * p.kv_heads + head * tiles) * kKeyTile * p.dim;
  const T* src = (const T*)p.rows.data + begin * p.row_stride + head * p.dim;
  for (int64_t t = 0; t < tiles; ++t)
    transpose_to(src + t * kKeyTile * p.row_stride, p.row_stride, min_of(kKeyTile, n - t * kKeyTile), p.dim, dst + t * kKeyTile * p.dim,
                 kKeyTile);
}

}  // namespace

template <>
void AttentionSimd<kIsa>::pack_tiles(const TilePacking& p, int threads) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
  for (int64_t i = 0; i < p.sequences * p.kv_heads; ++i) {
    if (p.rows.type == Float::kF32)
      pack_head<float>(p, i / p.kv_heads, i % p.kv_heads);
    else
      pack_head<bf16>(p, i / p.kv_heads, i % p.kv_heads);
  }
}

template <>
void AttentionSimd<kIsa>::pack_rows(const RowPacking& p, int threads) {
  const int64_t row = round_up(p.dim, kLanes);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t t = 0; t < p.tokens; ++t)
    for (int64_t h = 0; h < p.heads; ++h) read_row(p.rows, t * p.row_stride + h * p.dim, p.dim, p.packed + (h * p.tokens + t) * row);
}

template <>
void AttentionSimd<kIsa>::forward(const AttentionWork& w) {
  const bool wide = !w.sequences[0].blocks || w.pool.type == Float::kF32;
#pragma omp parallel for schedule(dynamic, 1) num_threads(w.threads) if (w.threads > 1)
  for (int64_t i = 0; i < w.unit_count; ++i) {
    if (wide)
      run_unit<float>(w, w.units[i]);
    else
      run_unit<bf16>(w, w.units[i]);
  }
}

}  // namespace r1::kernels
