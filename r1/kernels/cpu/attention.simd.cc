// The forward of attention and the packing of keys into tiles. A unit of work is some queries (tokens x the heads of a group) of one kv
// head.
#include <omp.h>

#include "r1/kernels/cpu/attention_scores.h"
#include "r1/kernels/cpu/nibbles.h"
#include "r1/kernels/cpu/scratch.h"

namespace r1::kernels {
namespace {

// Where tile t of a sequence's keys and its rows of values are, once the step that it is of is at hand.
template <class T>
struct Keys {
  const SequenceKeys& s;
  const KvPool& pool;
  const AttentionShape& shape;
  int64_t kv_head, head_dim = shape.head_dim, v_row = round_up(shape.v_dim, kLanes);

  using Number = T;
  static constexpr bool kScaled = sizeof(T) == 1;

  void fetch(int64_t, int64_t, bool) const {}

  const T* block(int64_t t) const {
    const int64_t per_block = pool.block_size / kKeyTile;
    const char* base = (const char*)pool.data + s.blocks[t / per_block] * pool.block_stride;
    if (kScaled) return (const T*)(base + kv_head * int8_head_bytes(pool.block_size, head_dim, v_row));
    return (const T*)base + kv_head * pool.block_size * (head_dim + v_row);
  }
  // Scales of the tile's keys, and of its values.
  const float* key_scales(int64_t t) const {
    return (const float*)(block(t) + pool.block_size * (head_dim + v_row)) + t % (pool.block_size / kKeyTile) * kKeyTile;
  }
  const float* value_scales(int64_t t) const { return key_scales(t) + pool.block_size; }
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

// The same of a pool of int4, whose numbers are made floats a step at a time, for all rows of a unit.
struct Int4 {};
template <>
struct Keys<Int4> {
  const SequenceKeys& s;
  const KvPool& pool;
  const AttentionShape& shape;
  int64_t kv_head, head_dim = shape.head_dim, v_row = round_up(shape.v_dim, kLanes);
  Int4Head layout{pool.block_size, head_dim, v_row};
  // Rows are made in pairs, values in whole groups.
  int64_t key_rows = round_up(head_dim, 2), value_row = round_up(v_row, kInt4Group);
  float* wide = scratch(Scratch::kAttentionWide, kStep*(key_rows + value_row) + kKeyTile * round_up(head_dim, kLanes) * 2);
  float* wide_values = wide + kStep * key_rows;
  float* turns = wide_values + kStep * value_row;  // a tile's cos, then its sin

  using Number = float;
  static constexpr bool kScaled = false;

  // Tiles [tile0, tile0 + tiles) of a step.
  void fetch(int64_t tile0, int64_t tiles, bool values) const {
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t per_block = pool.block_size / kKeyTile, in_block = (tile0 + t) % per_block;
      const char* head = (const char*)pool.data + s.blocks[(tile0 + t) / per_block] * pool.block_stride + kv_head * layout.bytes();
      fetch_keys(head, in_block, wide + t * kKeyTile * key_rows);
      if (shape.key_offset.bias) add_offset(shape.key_offset, (tile0 + t) * kKeyTile, wide + t * kKeyTile * key_rows);
      if (values) fetch_values(head, in_block, wide_values + t * kKeyTile * value_row);
    }
  }
  void fetch_keys(const char* head, int64_t tile, float* to) const {
    const uint8_t* from = (const uint8_t*)head + tile * kKeyTile * layout.pairs;
    for (int64_t g = 0; g < layout.key_groups; ++g) {
      const int64_t at = g * pool.block_size + tile * kKeyTile;
      const F16 scale = load((const bf16*)(head + layout.key_scales()) + at), low = load((const bf16*)(head + layout.key_lows()) + at);
      const int64_t end = min_of(layout.pairs, (g + 1) * (kInt4Group / 2));
      for (int64_t d = g * (kInt4Group / 2); d < end; ++d) {
        F16 even, odd;
        load_halves(from + d * kKeyTile, even, odd);
        store(to + 2 * d * kKeyTile, fma(scale, even, low));
        store(to + (2 * d + 1) * kKeyTile, fma(scale, odd, low));
      }
    }
    unmix(to);
  }
  // mix_row of each key, divided by the size.
  void unmix(float* to) const {
    const int64_t size = head_dim & -head_dim;
    for (int64_t half = 1; half < size; half *= 2)
      for (int64_t i = 0; i < head_dim; i += 2 * half)
        for (int64_t j = i; j < i + half; ++j) {
          const F16 a = load(to + j * kKeyTile), b = load(to + (j + half) * kKeyTile);
          store(to + j * kKeyTile, a + b), store(to + (j + half) * kKeyTile, a - b);
        }
    const F16 share = set1(1 / float(size));
    for (int64_t d = 0; d < head_dim; ++d) store(to + d * kKeyTile, load(to + d * kKeyTile) * share);
  }
  // A tile's keys are those at `position` and up.
  void add_offset(const KeyOffset& offset, int64_t position, float* to) const {
    const float* bias = offset.bias + kv_head * head_dim;
    const auto add = [&](int64_t d, F16 x) { store(to + d * kKeyTile, load(to + d * kKeyTile) + x); };
    if (!offset.cos) {
      for (int64_t d = 0; d < head_dim; ++d) add(d, set1(bias[d]));
      return;
    }
    const int64_t half = head_dim / 2, rows = min_of(kKeyTile, offset.positions - position);
    float* turns_sin = turns + kKeyTile * round_up(half, kLanes);
    transpose_to(offset.cos + position * half, half, rows, half, turns, kKeyTile);
    transpose_to(offset.sin + position * half, half, rows, half, turns_sin, kKeyTile);
    for (int64_t i = 0; i < half; ++i) {
      const int64_t first = offset.pairs ? 2 * i : i, second = offset.pairs ? 2 * i + 1 : i + half;
      const F16 c = load(turns + i * kKeyTile), s = load(turns_sin + i * kKeyTile), a = set1(bias[first]), b = set1(bias[second]);
      add(first, a * c - b * s);
      add(second, b * c + a * s);
    }
  }
  void fetch_values(const char* head, int64_t tile, float* to) const {
    for (int64_t i = 0; i < kKeyTile; ++i) {
      const int64_t token = tile * kKeyTile + i;
      const uint8_t* from = (const uint8_t*)head + layout.values() + token * layout.value_bytes();
      const bf16* scales = (const bf16*)(head + layout.value_scales()) + token * layout.value_groups * 2;
      for (int64_t g = 0; g < layout.value_groups; ++g) {
        F16 lower, upper;
        load_halves(from + g * 16, lower, upper);
        const F16 scale = set1(bits_float(uint32_t(scales[2 * g]) << 16)), low = set1(bits_float(uint32_t(scales[2 * g + 1]) << 16));
        store(to + i * value_row + g * kInt4Group, fma(scale, lower, low));
        store(to + i * value_row + g * kInt4Group + 16, fma(scale, upper, low));
      }
    }
  }
  const float* keys(int64_t t) const { return wide + t % kStepTiles * kKeyTile * key_rows; }
  const float* values(int64_t t) const { return wide_values + t % kStepTiles * kKeyTile * value_row; }
  int64_t value_step() const { return value_row; }
};

// The keys that a query sees: those of its span and, before it, the first that its sequence keeps.
struct Seen {
  Span first, span;
};
R1_INLINE Seen seen_by(const AttentionShape& s, int64_t position, int64_t keys) {
  const Span may = visible(s, position, keys);
  if (s.kept_last == 0) return {{0, 0}, may};
  const int64_t lo = max_of(may.lo, position + 1 - s.kept_last);
  return {{may.lo, min_of(s.kept_first, lo)}, {lo, may.hi}};
}
R1_INLINE bool reaches_into(const Span& span, int64_t begin, int64_t end) {
  return span.lo < span.hi && span.lo < end && span.hi > begin;
}

// The queries of a unit and their running state.
struct Queries {
  int64_t count, q_row, v_row;
  float *q, *o, *m, *l;
  Seen* seen;
  const float** bias;  // [count] by key; null: none

  Queries(int64_t n, int64_t q_dim, int64_t v_dim) : count(n), q_row(round_up(q_dim, kLanes)), v_row(round_up(v_dim, kLanes)) {
    char* p = (char*)scratch_bytes(Scratch::kAttentionUnit, n * ((q_row + v_row + 2) * sizeof(float) + sizeof(Seen) + sizeof(float*)));
    seen = (Seen*)p;
    bias = (const float**)(seen + n);
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
// `seen`: which of the keys from `first`, the step's; `bias`: theirs, or null.
R1_INLINE Softmaxed softmax_row(const AttentionShape& s, float* p, int64_t tiles, const Seen& seen, int64_t first, const float* bias,
                                float& m) {
  const F16 low = set1(-__builtin_inff());
  F16 x[kStepTiles], top = low;
  for (int64_t t = 0; t < kStepTiles; ++t) {
    const Mask lanes =
        lanes_between(t, seen.span.lo - first, seen.span.hi - first) | lanes_between(t, seen.first.lo - first, seen.first.hi - first);
    x[t] = t < tiles ? select(lanes, scored(s, load(p + t * kLanes), bias ? bias + t * kLanes : nullptr), low) : low;
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

// What [span) has of the step from `first`, relative to it.
R1_INLINE Span within_step(const Span& span, int64_t first) {
  return {max_of(0, span.lo - first), min_of(kStep, span.hi - first)};
}

// o of rows [r, end) += p times the values [lo, hi) of the step whose first tile is tile0. Keys outside are not touched, whatever lies there.
template <class T>
R1_INLINE void add_values(const Keys<T>& keys, Queries& q, int64_t r, int64_t end, const float* p, int64_t tile0, const Span& of) {
  const int64_t v_step = keys.value_step();
  for (int64_t t = of.lo / kKeyTile; of.lo < of.hi && t * kKeyTile < of.hi;) {
    const typename Keys<T>::Number* v = keys.values(tile0 + t);
    int64_t next = t + 1;  // tiles that follow each other in memory are one
    while (next * kKeyTile < of.hi && keys.values(tile0 + next) == v + (next - t) * kKeyTile * v_step) ++next;
    const int64_t from = max_of(of.lo, t * kKeyTile), to = min_of(of.hi, next * kKeyTile);
    add_rows(q.o + r * q.v_row, q.v_row, p + from, kStep, 1, end - r, v + (from - t * kKeyTile) * v_step, v_step, to - from,
             q.v_row / kLanes);
    t = next;
  }
}

// p[r][j] *= the scale of the step's key j, or of its value. Where a row does not see j this may be anything, and nobody looks at it.
template <class T>
R1_INLINE void scale_step(const Keys<T>& keys, int64_t n, int64_t tile0, int64_t tiles, bool of_values, float* p) {
  for (int64_t t = 0; t < tiles; ++t) {
    const F16 scale = load(of_values ? keys.value_scales(tile0 + t) : keys.key_scales(tile0 + t));
    for (int64_t r = 0; r < n; ++r) store(p + r * kStep + t * kLanes, load(p + r * kStep + t * kLanes) * scale);
  }
}

// One step of keys for rows [r0, r0 + n), n <= kRows.
template <class T>
void step_rows(const AttentionShape& s, const Keys<T>& keys, Queries& q, int64_t r0, int64_t n, int64_t step) {
  alignas(64) float p[kRows * kStep], factor[kLanes] = {};
  const int64_t first = step * kStep, tile0 = step * kStepTiles;
  const int64_t tiles = min_of(kStepTiles, ceil_div(q.seen[r0 + n - 1].span.hi - first, kKeyTile));
  const typename Keys<T>::Number* k[kStepTiles];
  for (int64_t t = 0; t < tiles; ++t) k[t] = keys.keys(tile0 + t);
  dot_tiles(q.q + r0 * q.q_row, q.q_row, n, k, tiles, s.head_dim, p);
  if constexpr (Keys<T>::kScaled) scale_step(keys, n, tile0, tiles, false, p);

  float sums[kRows];
  for (int64_t r = 0; r < n; ++r) {
    const Softmaxed x =
        softmax_row(s, p + r * kStep, tiles, q.seen[r0 + r], first, q.bias[r0 + r] ? q.bias[r0 + r] + first : nullptr, q.m[r0 + r]);
    factor[r] = x.old_max - q.m[r0 + r];
    sums[r] = x.sum;
  }
  store(factor, exp(load(factor)));
  for (int64_t r = 0; r < n; ++r) {
    q.l[r0 + r] = fma1(q.l[r0 + r], factor[r], sums[r]);
    float* o = q.o + (r0 + r) * q.v_row;
    for (int64_t d = 0; d < q.v_row; d += kLanes) store(o + d, load(o + d) * set1(factor[r]));
  }

  if constexpr (Keys<T>::kScaled) scale_step(keys, n, tile0, tiles, true, p);

  // Rows that see the same keys of this step go together.
  for (int64_t r = 0; r < n;) {
    const Span early = within_step(q.seen[r0 + r].first, first), late = within_step(q.seen[r0 + r].span, first);
    const auto same = [&](const Seen& other) {
      const Span e = within_step(other.first, first), l = within_step(other.span, first);
      return e.lo == early.lo && e.hi == early.hi && l.lo == late.lo && l.hi == late.hi;
    };
    int64_t end = r + 1;
    while (end < n && same(q.seen[r0 + end])) ++end;
    add_values(keys, q, r0 + r, r0 + end, p + r * kStep, tile0, early);
    add_values(keys, q, r0 + r, r0 + end, p + r * kStep, tile0, late);
    r = end;
  }
}

template <class T>
void run_unit(const AttentionWork& w, const AttentionUnit& u) {
  const AttentionShape& s = w.shape;
  const SequenceKeys& seq = w.sequences[u.sequence];
  const int64_t group = s.heads / s.kv_heads, head0 = u.kv_head * group;
  const Keys<T> keys{seq, w.pool, s, u.kv_head};
  Queries q((u.row_end - u.row_begin) * group, s.head_dim, s.v_dim);

  for (int64_t r = 0; r < q.count; ++r) {
    const int64_t row = u.row_begin + r / group, token = seq.q_begin + row;
    read_row(w.q, token * w.q.row_stride + (head0 + r % group) * s.head_dim, s.head_dim, q.q + r * q.q_row);
    for (int64_t d = 0; d < q.v_row; d += kLanes) store(q.o + r * q.v_row + d, zero());
    q.m[r] = -__builtin_inff(), q.l[r] = 0;
    const int64_t position = seq.keys - seq.q_rows + row;
    q.seen[r] = seen_by(s, position, seq.keys);
    q.bias[r] = s.bias ? s.bias + bias_offset(s, head0 + r % group, position) : nullptr;
  }

  // Of each step, the rows that see any of it: one run of them, since what a row sees begins and ends no earlier than for the row before.
  const auto run = [&](int64_t step) {
    const int64_t from = step * kStep, to = from + kStep;
    const auto sees = [&](const Seen& seen) { return reaches_into(seen.span, from, to) || reaches_into(seen.first, from, to); };
    int64_t begin = 0, end = q.count;
    while (begin < end && !sees(q.seen[begin])) ++begin;
    while (end > begin && !sees(q.seen[end - 1])) --end;
    if (begin == end) return;
    keys.fetch(step * kStepTiles, min_of(kStepTiles, ceil_div(q.seen[end - 1].span.hi - from, kKeyTile)), true);
    const int64_t chunks = ceil_div(end - begin, kRows);
    for (int64_t c = 0; c < chunks; ++c) {
      const int64_t r0 = begin + (end - begin) * c / chunks, r1 = begin + (end - begin) * (c + 1) / chunks;
      step_rows(s, keys, q, r0, r1 - r0, step);
    }
  };
  const int64_t steps = ceil_div(q.seen[q.count - 1].span.hi, kStep);
  int64_t step = 0;
  for (; step < ceil_div(q.seen[q.count - 1].first.hi, kStep); ++step) run(step);
  for (step = max_of(step, q.seen[0].span.lo / kStep); step < steps; ++step) run(step);

  for (int64_t r = 0; r < q.count; ++r) {
    const int64_t token = seq.q_begin + u.row_begin + r / group, head = head0 + r % group;
    float* o = q.o + r * q.v_row;
    const F16 l = set1(q.l[r]);
    for (int64_t d = 0; d < q.v_row; d += kLanes) store(o + d, load(o + d) / l);
    write_row(w.out, token * w.out.row_stride + head * s.v_dim, s.v_dim, o);
    if (w.lse) w.lse[token * s.heads + head] = q.m[r] + log1(q.l[r]);
  }
}

// Adds to the scores of a kv head's keys what all rows of a sequence give them: row by row and head by head for each key.
template <class T>
void score_unit(const AttentionWork& w, const AttentionUnit& u) {
  const AttentionShape& s = w.shape;
  const SequenceKeys& seq = w.sequences[u.sequence];
  const int64_t group = s.heads / s.kv_heads, head0 = u.kv_head * group, at_once = max_of(1, 48 / group);
  const Keys<T> keys{seq, w.pool, s, u.kv_head};
  const int64_t per_block = w.pool.block_size / kKeyTile;
  for (int64_t row0 = u.row_begin; row0 < u.row_end; row0 += at_once) {
    const int64_t rows = min_of(at_once, u.row_end - row0), first = seq.keys - seq.q_rows + row0;  // and position of the first
    Queries q(rows * group, s.head_dim, s.v_dim);
    for (int64_t r = 0; r < q.count; ++r) {
      const int64_t token = seq.q_begin + row0 + r / group, head = head0 + r % group;
      read_row(w.q, token * w.q.row_stride + head * s.head_dim, s.head_dim, q.q + r * q.q_row);
      q.l[r] = w.lse[token * s.heads + head];
    }
    for (int64_t step = 0; step * kStep < first + rows; ++step) {
      const int64_t tile0 = step * kStepTiles, tiles = min_of(kStepTiles, ceil_div(first + rows - step * kStep, kKeyTile));
      keys.fetch(tile0, tiles, false);
      const typename Keys<T>::Number* k[kStepTiles];
      for (int64_t t = 0; t < tiles; ++t) k[t] = keys.keys(tile0 + t);
      for (int64_t r0 = 0; r0 < q.count; r0 += kRows) {
        const int64_t n = min_of(kRows, q.count - r0);
        alignas(64) float p[kRows * kStep];
        dot_tiles(q.q + r0 * q.q_row, q.q_row, n, k, tiles, s.head_dim, p);
        if constexpr (Keys<T>::kScaled) scale_step(keys, n, tile0, tiles, false, p);
        for (int64_t t = 0; t < tiles; ++t) {
          char* block = (char*)w.pool.data + seq.blocks[(tile0 + t) / per_block] * w.pool.block_stride;
          float* scores = (float*)(block + w.score_offset) + u.kv_head * w.pool.block_size + (tile0 + t) % per_block * kKeyTile;
          F16 sum = load(scores);
          for (int64_t r = r0; r < r0 + n; ++r) {
            const Mask seen = lanes_between(t, 0, first + r / group + 1 - step * kStep);
            const F16 x = scored(s, load(p + (r - r0) * kStep + t * kLanes), nullptr);
            sum = sum + select(seen, exp(x - set1(q.l[r])), zero());
          }
          store(scores, sum);
        }
      }
    }
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

// Calls run<T>() for how the keys are stored.
template <class F>
static void with_numbers(const AttentionWork& w, F&& run) {
  if (!w.sequences[0].blocks) return run.template operator()<float>();
  if (w.pool.numbers == KvNumbers::kInt4) return run.template operator()<Int4>();
  if (w.pool.numbers == KvNumbers::kInt8) return run.template operator()<int8_t>();
  w.pool.type == Float::kF32 ? run.template operator()<float>() : run.template operator()<bf16>();
}

template <>
void AttentionSimd<kIsa>::forward(const AttentionWork& w) {
  with_numbers(w, [&]<class T>() {
#pragma omp parallel for schedule(dynamic, 1) num_threads(w.threads) if (w.threads > 1)
    for (int64_t i = 0; i < w.unit_count; ++i) run_unit<T>(w, w.units[i]);
  });
}

template <>
void AttentionSimd<kIsa>::scores(const AttentionWork& w) {
  with_numbers(w, [&]<class T>() {
#pragma omp parallel for schedule(dynamic, 1) num_threads(w.threads) if (w.threads > 1)
    for (int64_t i = 0; i < w.unit_count; ++i) score_unit<T>(w, w.units[i]);
  });
}

}  // namespace r1::kernels
