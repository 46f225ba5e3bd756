// The backward of attention. A unit is one kv head of one sequence: over blocks of keys, ascending, its blocks of queries, ascending, run
// over steps of 64 keys, ascending. So a query's sums meet keys in order and a key's sums meet queries in order, however long the blocks;
// a block's keys, values and sums stay in the second-level cache.
// With P the probabilities recomputed from lse, dS = P (dout . v - dout . out) cap'(score) scale:
//   dq += dS k,   dk += dS^T q,   dv += P^T dout,   dbias[distance] += dS / scale.
// With segments the sums into dk and dv leave out the queries of later segments.
#include <omp.h>

#include "r1/kernels/cpu/attention_scores.h"
#include "r1/kernels/cpu/scratch.h"

namespace r1::kernels {
namespace {

constexpr int64_t kBlockRows = 48, kBlockKeys = 512;

// The keys and values [first, first + n) of a sequence and kv head, both as rows and as tiles, and the sums of their gradients.
struct KeySide {
  int64_t first, n, q_row, v_row;
  float *k, *v, *k_tiles, *v_tiles, *dk, *dv;

  static int64_t floats(int64_t n, int64_t q_row, int64_t v_row) { return round_up(n, kStep) * 3 * (q_row + v_row); }

  // The sequence's keys begin at row `begin`.
  KeySide(const AttentionBackward& a, int64_t begin, int64_t first, int64_t n, int64_t head, float* memory)
      : first(first), n(n), q_row(round_up(a.shape.head_dim, kLanes)), v_row(round_up(a.shape.v_dim, kLanes)), k(memory) {
    const AttentionShape& s = a.shape;
    const int64_t keys = round_up(n, kStep);
    v = k + keys * q_row;
    k_tiles = v + keys * v_row;
    v_tiles = k_tiles + keys * q_row;
    dk = v_tiles + keys * v_row;
    dv = dk + keys * q_row;
    read(a.k, begin, s.head_dim, head, k, q_row);
    read(a.v, begin, s.v_dim, head, v, v_row);
    for (int64_t t = 0; t < keys / kKeyTile; ++t) {
      transpose_to(k + t * kKeyTile * q_row, q_row, kKeyTile, q_row, k_tiles + t * kKeyTile * q_row, kKeyTile);
      transpose_to(v + t * kKeyTile * v_row, v_row, kKeyTile, v_row, v_tiles + t * kKeyTile * v_row, kKeyTile);
    }
    if (a.add_keys) {
      read(a.dk, begin, s.head_dim, head, dk, q_row);
      read(a.dv, begin, s.v_dim, head, dv, v_row);
    } else {
      for (float* p = dk; p < dv + keys * v_row; p += kLanes) store(p, zero());
    }
  }
  void write_sums(const AttentionBackward& a, int64_t begin, int64_t head) const {
    const AttentionShape& s = a.shape;
    for (int64_t j = 0; j < n; ++j) {
      write_row(a.dk, (begin + first + j) * a.dk.row_stride + head * s.head_dim, s.head_dim, dk + j * q_row);
      write_row(a.dv, (begin + first + j) * a.dv.row_stride + head * s.v_dim, s.v_dim, dv + j * v_row);
    }
  }

 private:
  // Zero after the last key of the block, up to a whole step.
  void read(const ConstHeads& rows, int64_t begin, int64_t dim, int64_t head, float* to, int64_t row) const {
    for (int64_t j = 0; j < n; ++j) read_row(rows, (begin + first + j) * rows.row_stride + head * dim, dim, to + j * row);
    for (float* p = to + n * row; p < to + round_up(n, kStep) * row; p += kLanes) store(p, zero());
  }
};

// A block of queries: count rows, row r is token r / group and head r % group.
struct QuerySide {
  int64_t count, q_row, v_row;
  float *q, *dout, *lse, *delta, *p, *ds;  // p, ds: [count][kStep]
  float* dq;                               // [count][q_row] of the unit's sums
  Span* span;
  const float** bias;  // [count] by key; null: none
  float** dbias;       // likewise, the sums
  int64_t* own;        // [count] first position of the query's segment (0: none)

  QuerySide(int64_t n, int64_t q_row, int64_t v_row, float* dq) : count(n), q_row(q_row), v_row(v_row), dq(dq) {
    const int64_t row = q_row + v_row + 2 * kStep + 2;
    char* base = (char*)scratch_bytes(Scratch::kAttentionQuerySide, n * (row * sizeof(float) + sizeof(Span) + 3 * sizeof(float*)));
    q = (float*)base;  // rows of whole vectors first
    dout = q + n * q_row;
    p = dout + n * v_row;
    ds = p + n * kStep;
    lse = ds + n * kStep;
    delta = lse + n;
    span = (Span*)(base + n * row * sizeof(float));
    bias = (const float**)(span + n);
    dbias = (float**)(bias + n);
    own = (int64_t*)(dbias + n);
  }
};

// What a unit works on: `queries` rows from q_begin are the last of `keys` tokens from k_begin.
struct UnitRows {
  int64_t q_begin, queries, k_begin, keys, head0, group;
  float* dbias;  // [group][bias_row] or null
};

void read_queries(const AttentionBackward& a, const UnitRows& u, int64_t row0, QuerySide& b) {
  const AttentionShape& s = a.shape;
  alignas(64) float out_row[kLanes];
  for (int64_t r = 0; r < b.count; ++r) {
    const int64_t row = row0 + r / u.group, token = u.q_begin + row, head = u.head0 + r % u.group;
    read_row(a.q, token * a.q.row_stride + head * s.head_dim, s.head_dim, b.q + r * b.q_row);
    read_row(a.dout, token * a.dout.row_stride + head * s.v_dim, s.v_dim, b.dout + r * b.v_row);
    F16 sum = zero();
    ConstHeads out = a.out;
    for (int64_t d = 0; d < s.v_dim; d += kLanes) {
      read_row(out, token * out.row_stride + head * s.v_dim + d, min_of(kLanes, s.v_dim - d), out_row);
      sum = fma(load(out_row), load(b.dout + r * b.v_row + d), sum);
    }
    b.delta[r] = reduce_add(sum);
    b.lse[r] = a.lse[token * s.heads + head];
    const int64_t position = u.keys - u.queries + row;
    b.span[r] = visible(s, position, u.keys);
    b.own[r] = s.segments ? position / s.window * s.window : 0;
    b.bias[r] = s.bias ? s.bias + bias_offset(s, head, position) : nullptr;
    b.dbias[r] = u.dbias ? u.dbias + bias_offset(s, r % u.group, position) : nullptr;
  }
}

// p = probabilities and ds = gradients of q . k, from dot products q . k in p and dout . v in ds; zero outside the span.
void softmax_gradient(const AttentionShape& s, QuerySide& b, int64_t r, int64_t first) {
  const Span span = b.span[r];
  const F16 lse = set1(b.lse[r]), delta = set1(b.delta[r]), scale = set1(s.scale);
  for (int64_t t = 0; t < kStepTiles; ++t) {
    float *pp = b.p + r * kStep + t * kLanes, *ds = b.ds + r * kStep + t * kLanes;
    const Mask seen = lanes_between(t, span.lo - first, span.hi - first);
    const F16 score = scored(s, load(pp), b.bias[r] ? b.bias[r] + first + t * kLanes : nullptr);
    const F16 p = select(seen, exp(score - lse), zero());
    F16 g = p * (load(ds) - delta);
    if (s.soft_cap > 0) {
      const F16 u = score / set1(s.soft_cap);
      g = g * fnma(u, u, set1(1.0f));
    }
    if (b.dbias[r]) {
      float* sums = b.dbias[r] + first + t * kLanes;
      store(sums, load(sums) + select(seen, g, zero()));
    }
    store(pp, p);
    store(ds, select(seen, g * scale, zero()));
  }
}

// Leaves out the keys of earlier segments: what goes on to dk and dv.
void forget_memory(QuerySide& b, int64_t r, int64_t first) {
  for (int64_t t = 0; t < kStepTiles; ++t) {
    const Mask memory = mask_first(b.own[r] - first - t * kLanes);
    for (float* x : {b.p + r * kStep + t * kLanes, b.ds + r * kStep + t * kLanes}) store(x, select(memory, zero(), load(x)));
  }
}

// sums[j, :] += sum_r w[r, j] rows[r, :] for the 64 keys of a step.
void add_transposed(float* sums, int64_t row, const float* w, const float* rows, int64_t count) {
  for (int64_t j = 0; j < kStep; j += kRows)
    add_rows(sums + j * row, row, w + j, 1, kStep, min_of(kRows, kStep - j), rows, row, count, row / kLanes);
}

void step_block(const AttentionShape& s, const KeySide& keys, QuerySide& b, int64_t r0, int64_t r1, int64_t step) {
  const float *k[kStepTiles], *v[kStepTiles];
  const int64_t first = step * kStep, at = first - keys.first;  // in the sequence, and in the block
  for (int64_t t = 0; t < kStepTiles; ++t) {
    k[t] = keys.k_tiles + (at + t * kKeyTile) * keys.q_row;
    v[t] = keys.v_tiles + (at + t * kKeyTile) * keys.v_row;
  }
  for (int64_t r = r0; r < r1; r += kRows) {
    const int64_t n = min_of(kRows, r1 - r);
    dot_tiles(b.q + r * b.q_row, b.q_row, n, k, kStepTiles, s.head_dim, b.p + r * kStep);
    dot_tiles(b.dout + r * b.v_row, b.v_row, n, v, kStepTiles, s.v_dim, b.ds + r * kStep);
    for (int64_t i = r; i < r + n; ++i) softmax_gradient(s, b, i, first);
    add_rows(b.dq + r * b.q_row, b.q_row, b.ds + r * kStep, kStep, 1, n, keys.k + at * keys.q_row, keys.q_row, kStep, b.q_row / kLanes);
    for (int64_t i = r; i < r + n; ++i)
      if (b.own[i] > first) forget_memory(b, i, first);
  }
  add_transposed(keys.dk + at * keys.q_row, keys.q_row, b.ds + r0 * kStep, b.q + r0 * b.q_row, r1 - r0);
  add_transposed(keys.dv + at * keys.v_row, keys.v_row, b.p + r0 * kStep, b.dout + r0 * b.v_row, r1 - r0);
}

// The queries of a unit against one block of its keys. dq [queries * group][q_row].
void run_keys(const AttentionBackward& a, const UnitRows& u, const KeySide& keys, float* dq) {
  const AttentionShape& s = a.shape;
  const int64_t tokens = max_of(1, kBlockRows / u.group), before = u.keys - u.queries, end = keys.first + keys.n;
  for (int64_t row0 = 0; row0 < u.queries; row0 += tokens) {
    const int64_t rows = min_of(tokens, u.queries - row0);
    if (visible(s, before + row0 + rows - 1, u.keys).hi <= keys.first || visible(s, before + row0, u.keys).lo >= end) continue;
    QuerySide b(rows * u.group, keys.q_row, keys.v_row, dq + row0 * u.group * keys.q_row);
    read_queries(a, u, row0, b);
    const int64_t steps = ceil_div(min_of(end, b.span[b.count - 1].hi), kStep);
    int64_t r0 = 0, r1 = 0;
    for (int64_t step = max_of(keys.first, b.span[0].lo) / kStep; step < steps; ++step) {
      while (r0 < b.count && b.span[r0].hi <= step * kStep) ++r0;
      while (r1 < b.count && b.span[r1].lo < (step + 1) * kStep) ++r1;
      if (r0 < r1) step_block(s, keys, b, r0, r1, step);
    }
  }
}

void run_unit(const AttentionBackwardWork& w, int64_t unit) {
  const AttentionBackward& a = w.a;
  const AttentionShape& s = a.shape;
  const AttentionUnit& unit_of = w.units[unit];
  const int64_t i = unit_of.sequence, group = s.heads / s.kv_heads, head = unit_of.kv_head;
  const UnitRows u{a.cu_seqlens[i],
                   a.cu_seqlens[i + 1] - a.cu_seqlens[i],
                   a.cu_keys[i],
                   a.cu_keys[i + 1] - a.cu_keys[i],
                   head * group,
                   group,
                   w.dbias ? w.dbias + unit * group * bias_row(s) : nullptr};
  const int64_t q_row = round_up(s.head_dim, kLanes), v_row = round_up(s.v_dim, kLanes), rows = u.queries * group;
  float* dq = scratch(Scratch::kAttentionKeySide, rows * q_row + KeySide::floats(min_of(kBlockKeys, u.keys), q_row, v_row));
  for (float* p = dq; p < dq + rows * q_row; p += kLanes) store(p, zero());
  for (int64_t first = 0; first < u.keys; first += kBlockKeys) {
    const KeySide keys(a, u.k_begin, first, min_of(kBlockKeys, u.keys - first), head, dq + rows * q_row);
    run_keys(a, u, keys, dq);
    keys.write_sums(a, u.k_begin, head);
  }
  for (int64_t r = 0; r < rows; ++r)
    write_row(a.dq, (u.q_begin + r / group) * a.dq.row_stride + (u.head0 + r % group) * s.head_dim, s.head_dim, dq + r * q_row);
}

}  // namespace

template <>
void AttentionSimd<kIsa>::backward(const AttentionBackwardWork& w) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(w.threads) if (w.threads > 1)
  for (int64_t i = 0; i < w.unit_count; ++i) run_unit(w, i);
}

}  // namespace r1::kernels
