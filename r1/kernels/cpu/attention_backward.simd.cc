// The backward of attention. A unit is one kv head of one sequence: its blocks of queries, ascending, run over steps of 64 keys, ascending.
// With P the probabilities recomputed from lse, dS = P (dout . v - dout . out) cap'(score) scale:
//   dq += dS k,   dk += dS^T q,   dv += P^T dout,   dbias[distance] += dS / scale.
// With segments the sums into dk and dv leave out the queries of later segments.
#include <omp.h>

#include "r1/kernels/cpu/attention_scores.h"
#include "r1/kernels/cpu/scratch.h"

namespace r1::kernels {
namespace {

constexpr int64_t kBlockRows = 48;
constexpr int kScratchKeys = 5, kScratchBlock = 6;

// A kv head's keys and values, both as rows and as tiles, and the sums of their gradients.
struct KeySide {
  int64_t n, tiles, q_row, v_row;
  float *k, *v, *k_tiles, *v_tiles, *dk, *dv;

  KeySide(const AttentionBackward& a, int64_t begin, int64_t n, int64_t head)
      : n(n), tiles(round_up(n, kStep) / kKeyTile), q_row(round_up(a.shape.head_dim, kLanes)), v_row(round_up(a.shape.v_dim, kLanes)) {
    const AttentionShape& s = a.shape;
    const int64_t keys = tiles * kKeyTile;
    k = scratch(kScratchKeys, keys * 3 * (q_row + v_row));
    v = k + keys * q_row;
    k_tiles = v + keys * v_row;
    v_tiles = k_tiles + keys * q_row;
    dk = v_tiles + keys * v_row;
    dv = dk + keys * q_row;
    for (int64_t j = 0; j < n; ++j) {
      read_row(a.k, (begin + j) * a.k.row_stride + head * s.head_dim, s.head_dim, k + j * q_row);
      read_row(a.v, (begin + j) * a.v.row_stride + head * s.v_dim, s.v_dim, v + j * v_row);
    }
    for (float* p = k + n * q_row; p < k + keys * q_row; p += kLanes) store(p, zero());
    for (float* p = v + n * v_row; p < v + keys * v_row; p += kLanes) store(p, zero());
    for (int64_t t = 0; t < tiles; ++t) {
      transpose_to(k + t * kKeyTile * q_row, q_row, kKeyTile, q_row, k_tiles + t * kKeyTile * q_row, kKeyTile);
      transpose_to(v + t * kKeyTile * v_row, v_row, kKeyTile, v_row, v_tiles + t * kKeyTile * v_row, kKeyTile);
    }
    for (float* p = dk; p < dv + keys * v_row; p += kLanes) store(p, zero());
  }
};

// A block of queries: count rows, row r is token r / group and head r % group.
struct QuerySide {
  int64_t count, q_row, v_row;
  float *q, *dout, *dq, *lse, *delta, *p, *ds;  // p, ds: [count][kStep]
  Span* span;
  const float** bias;  // [count] by key; null: none
  float** dbias;       // likewise, the sums
  int64_t* own;        // [count] first position of the query's segment (0: none)

  QuerySide(int64_t n, int64_t q_row, int64_t v_row) : count(n), q_row(q_row), v_row(v_row) {
    const int64_t row = 2 * q_row + v_row + 2 * kStep + 2;
    char* base = (char*)scratch_bytes(kScratchBlock, n * (row * sizeof(float) + sizeof(Span) + 3 * sizeof(float*)));
    q = (float*)base;  // rows of whole vectors first
    dout = q + n * q_row;
    dq = dout + n * v_row;
    p = dq + n * q_row;
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
    for (int64_t d = 0; d < b.q_row; d += kLanes) store(b.dq + r * b.q_row + d, zero());
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
  for (int64_t t = 0; t < kStepTiles; ++t) {
    k[t] = keys.k_tiles + (step * kStepTiles + t) * kKeyTile * keys.q_row;
    v[t] = keys.v_tiles + (step * kStepTiles + t) * kKeyTile * keys.v_row;
  }
  const int64_t first = step * kStep;
  for (int64_t r = r0; r < r1; r += kRows) {
    const int64_t n = min_of(kRows, r1 - r);
    dot_tiles(b.q + r * b.q_row, b.q_row, n, k, kStepTiles, s.head_dim, b.p + r * kStep);
    dot_tiles(b.dout + r * b.v_row, b.v_row, n, v, kStepTiles, s.v_dim, b.ds + r * kStep);
    for (int64_t i = r; i < r + n; ++i) softmax_gradient(s, b, i, first);
    add_rows(b.dq + r * b.q_row, b.q_row, b.ds + r * kStep, kStep, 1, n, keys.k + first * keys.q_row, keys.q_row, kStep, b.q_row / kLanes);
    for (int64_t i = r; i < r + n; ++i)
      if (b.own[i] > first) forget_memory(b, i, first);
  }
  add_transposed(keys.dk + first * keys.q_row, keys.q_row, b.ds + r0 * kStep, b.q + r0 * b.q_row, r1 - r0);
  add_transposed(keys.dv + first * keys.v_row, keys.v_row, b.p + r0 * kStep, b.dout + r0 * b.v_row, r1 - r0);
}

void run_unit(const AttentionBackwardWork& w, int64_t unit) {
  const AttentionBackward& a = w.a;
  const AttentionShape& s = a.shape;
  const AttentionUnit& unit_of = w.units[unit];
  const int64_t i = unit_of.sequence, group = s.heads / s.kv_heads;
  const UnitRows u{a.cu_seqlens[i],
                   a.cu_seqlens[i + 1] - a.cu_seqlens[i],
                   a.cu_keys[i],
                   a.cu_keys[i + 1] - a.cu_keys[i],
                   unit_of.kv_head * group,
                   group,
                   w.dbias ? w.dbias + unit * group * bias_row(s) : nullptr};
  const KeySide keys(a, u.k_begin, u.keys, unit_of.kv_head);
  const int64_t tokens = max_of(1, kBlockRows / group);
  for (int64_t row0 = 0; row0 < u.queries; row0 += tokens) {
    QuerySide b(min_of(tokens, u.queries - row0) * group, keys.q_row, keys.v_row);
    read_queries(a, u, row0, b);
    const int64_t steps = ceil_div(b.span[b.count - 1].hi, kStep);
    int64_t r0 = 0, r1 = 0;
    for (int64_t step = b.span[0].lo / kStep; step < steps; ++step) {
      while (r0 < b.count && b.span[r0].hi <= step * kStep) ++r0;
      while (r1 < b.count && b.span[r1].lo < (step + 1) * kStep) ++r1;
      if (r0 < r1) step_block(s, keys, b, r0, r1, step);
    }
    for (int64_t r = 0; r < b.count; ++r)
      write_row(a.dq, (u.q_begin + row0 + r / group) * a.dq.row_stride + (u.head0 + r % group) * s.head_dim, s.head_dim,
                b.dq + r * b.q_row);
  }
  for (int64_t j = 0; j < u.keys; ++j) {
    write_row(a.dk, (u.k_begin + j) * a.dk.row_stride + unit_of.kv_head * s.head_dim, s.head_dim, keys.dk + j * keys.q_row);
    write_row(a.dv, (u.k_begin + j) * a.dv.row_stride + unit_of.kv_head * s.v_dim, s.v_dim, keys.dv + j * keys.v_row);
  }
}

}  // namespace

template <>
void AttentionSimd<kIsa>::backward(const AttentionBackwardWork& w) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(w.threads) if (w.threads > 1)
  for (int64_t i = 0; i < w.unit_count; ++i) run_unit(w, i);
}

}  // namespace r1::kernels
