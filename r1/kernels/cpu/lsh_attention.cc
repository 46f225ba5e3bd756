#include "r1/kernels/cpu/lsh_attention.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "r1/base/error.h"
#include "r1/kernels/cpu/bf16.h"
#include "r1/kernels/cpu/lsh_lone.h"
#include "r1/kernels/cpu/lsh_tiles.h"
#include "r1/kernels/cpu/threads.h"

namespace r1::kernels {
namespace {

void check_shape(const LshShape& s, const char* op) {
  check(s.heads > 0 && s.kv_heads > 0 && s.heads % s.kv_heads == 0 && s.head_dim > 0 && s.v_dim > 0, "[", op,
        "] expected heads to be a multiple of kv_heads and head_dim, v_dim > 0, got ", s.heads, ", ", s.kv_heads, ", ", s.head_dim, ", ",
        s.v_dim);
  check(s.rounds > 0 && s.bits >= 0 && s.bits <= 15 && s.bucket > 0 && s.window > 0, "[", op,
        "] expected rounds, bucket, window > 0 and 0 to 15 bits, got ", s.rounds, ", ", s.bucket, ", ", s.window, ", ", s.bits);
}
// Places in the order of the buckets are held as floats (lsh_attention_simd.h).
void check_length(int64_t tokens, const char* op) {
  check(tokens <= 1 << 24, "[", op, "] expected sequences of at most 16777216 tokens, got ", tokens);
}
void check_lengths(const int32_t* cu_seqlens, int64_t sequences, const char* op) {
  for (int64_t i = 0; i < sequences; ++i) check_length(cu_seqlens[i + 1] - cu_seqlens[i], op);
}

constexpr int64_t kLoneQueries =
    16;  // of a part, up to which they are gone through one by one: from here on buckets are worth their filling

int64_t level_at(const LshShape& s, int64_t position) {
  int64_t level = 0;
  while (level < s.bits && s.bucket << level <= position) ++level;
  return level;
}

int threads_of(const LshShape& s, double queries) {
  return threads_for(queries * double(s.heads * s.head_dim * s.bucket));
}

void write_row(const Rows& rows, int64_t offset, int64_t dim, const float* from) {
  for (int64_t d = 0; d < dim; ++d) {
    if (rows.type == Float::kF32)
      static_cast<float*>(rows.data)[offset + d] = from[d];
    else
      static_cast<uint16_t*>(rows.data)[offset + d] = to_bf16(from[d]);
  }
}
LshTokens packed_tokens(const LshShape& s, const ConstRows& k, const ConstRows& v, const int16_t* codes, int64_t begin, int64_t kv_head) {
  LshTokens t;
  const int64_t k_size = size_of(k.type), v_size = size_of(v.type);
  t.k_step = s.kv_heads * s.head_dim * k_size, t.v_step = s.kv_heads * s.v_dim * v_size, t.code_step = s.kv_heads * s.rounds * 2;
  t.k = static_cast<const char*>(k.data) + begin * t.k_step + kv_head * s.head_dim * k_size;
  t.v = static_cast<const char*>(v.data) + begin * t.v_step + kv_head * s.v_dim * v_size;
  t.codes = reinterpret_cast<const char*>(codes) + begin * t.code_step + kv_head * s.rounds * 2;
  return t;
}

LshTokens paged_tokens(const LshShape& s, const KvPool& pool, const int32_t* blocks, int64_t kv_head) {
  LshTokens t;
  const int64_t size = size_of(pool.type);
  t.k_step = t.v_step = t.code_step = lsh_token_bytes(s, pool.type);
  t.k = static_cast<const char*>(pool.data) + kv_head * s.head_dim * size;
  t.v = static_cast<const char*>(pool.data) + (s.kv_heads * s.head_dim + kv_head * s.v_dim) * size;
  t.codes = static_cast<const char*>(pool.data) + s.kv_heads * (s.head_dim + s.v_dim) * size + kv_head * s.rounds * 2;
  t.blocks = blocks, t.block_size = pool.block_size, t.block_stride = pool.block_stride;
  return t;
}

// Codes one round after the other, of the part's keys and of its queries (the heads of the group for each position).
struct PartCodes {
  std::vector<int16_t> keys, queries;

  PartCodes(const LshShape& s, const LshPart& part, const int16_t* q_codes) {
    const int64_t group = s.heads / s.kv_heads, n = (part.count - part.first) * group;
    keys.resize(size_t(s.rounds * part.count)), queries.resize(size_t(s.rounds * n));
    for (int64_t t = 0; t < part.count; ++t)
      for (int64_t r = 0; r < s.rounds; ++r) keys[size_t(r * part.count + t)] = part.tokens.code(t)[r];
    for (int64_t i = 0; i < n; ++i) {
      const int16_t* mine = q_codes + ((part.q_begin + i / group) * s.heads + part.kv_head * group + i % group) * s.rounds;
      for (int64_t r = 0; r < s.rounds; ++r) queries[size_t(r * n + i)] = mine[r];
    }
  }
};

// f(level) for the levels of the part's queries.
template <class F>
void for_levels(const LshShape& s, const LshPart& part, const int16_t* q_codes, F f) {
  const PartCodes codes(s, part, q_codes);
  const int64_t group = s.heads / s.kv_heads, queries = (part.count - part.first) * group;
  for (int64_t l = 0, from = 0; from < part.count; ++l) {
    const int64_t end = l == s.bits ? part.count : std::min(part.count, s.bucket << l), first = std::max(from, part.first);
    if (first < end)
      f(LshLevel({s.rounds, s.bits, s.bucket, s.window}, l, {codes.keys.data(), part.count}, end,
                 {codes.queries.data() + (first - part.first) * group, queries}, first, group));
    from = end;
  }
}

// For few queries, one by one: the bits are those of forward_part's tiles.
void forward_lone(const LshShape& s, const LshPart& part, const ConstRows& q, const int16_t* q_codes, const Rows& out, float* lse) {
  LshLone lone({s.rounds, s.bits, s.bucket, s.window}, part.tokens, part.count);
  const int64_t group = s.heads / s.kv_heads, q_row = lsh_row(s.head_dim), o_row = lsh_row(s.v_dim);
  for (int64_t i = 0; i < (part.count - part.first) * group; ++i) {
    const int64_t position = part.first + i / group, row = (part.q_begin + i / group) * s.heads + part.kv_head * group + i % group;
    lone.see(level_at(s, position), position, q_codes + row * s.rounds);
    const int64_t keys = lone.keys(), padded = (keys + kLshLanes - 1) / kLshLanes * kLshLanes;
    auto* rows = static_cast<const void**>(scratch_bytes(Scratch::kLshRows, size_t(padded + keys) * sizeof(void*)));
    for (int64_t j = 0; j < keys; ++j) {
      const void *const k = part.tokens.key(lone.tokens()[j]), *const v = part.tokens.value(lone.tokens()[j]);
      rows[j] = k, rows[padded + j] = v;
    }
    std::fill(rows + keys, rows + padded, rows[keys - 1]);
    float* memory = scratch(Scratch::kLshFloats, size_t(q_row + o_row + padded + lone.stages()));
    float *const q_mine = memory, *const o = memory + q_row;
    float m = -std::numeric_limits<float>::infinity(), l = 0;
    const LshLoneQuery query{.head_dim = s.head_dim,
                             .v_dim = s.v_dim,
                             .scale = s.scale,
                             .type = part.type,
                             .q = q_mine,
                             .keys = keys,
                             .k = rows,
                             .v = rows + padded,
                             .stages = lone.stages(),
                             .ends = lone.ends(),
                             .p = o + o_row,
                             .factors = o + o_row + padded};
    const void* const from = lsh_row_at(q, row * s.head_dim);
    with_isa([&](auto isa) {
      lsh_gather_simd<isa()>(q.type, &from, 1, s.head_dim, q_mine);
      lsh_lone_simd<isa()>(query, o, &m, &l);
      lsh_finish_simd<isa()>(1, s.v_dim, o, &m, &l);
    });
    write_row(out, row * s.v_dim, s.v_dim, o);
    if (lse) lse[row] = l;
  }
}

void forward_part(const LshShape& s, const LshPart& part, const ConstRows& q, const int16_t* q_codes, const Rows& out, float* lse) {
  if ((part.count - part.first) * (s.heads / s.kv_heads) <= kLoneQueries) return forward_lone(s, part, q, q_codes, out, lse);
  LshTiles tiles(s, part, q);
  const int64_t o_row = lsh_row(s.v_dim);
  for_levels(s, part, q_codes, [&](const LshLevel& level) {
    const auto queries = size_t(level.queries());
    std::vector<float> o(queries * size_t(o_row), 0), m(queries, -std::numeric_limits<float>::infinity()), l(queries, 0);
    tiles.for_each(level, [&](const LshTile& tile, const int32_t* query) {
      LshSoftmax y{};
      for (int64_t j = 0; j < tile.lanes; ++j)
        y.m[j] = m[size_t(query[j])], y.l[j] = l[size_t(query[j])], y.o[j] = &o[size_t(query[j] * o_row)];
      with_isa([&](auto isa) { lsh_forward_simd<isa()>(tile, y); });
      for (int64_t j = 0; j < tile.lanes; ++j) m[size_t(query[j])] = y.m[j], l[size_t(query[j])] = y.l[j];
    });
    with_isa([&](auto isa) { lsh_finish_simd<isa()>(level.queries(), s.v_dim, o.data(), m.data(), l.data()); });
    for (int64_t i = 0; i < level.queries(); ++i) {
      const int64_t row = tiles.row(level, i);
      write_row(out, row * s.v_dim, s.v_dim, &o[size_t(i * o_row)]);
      if (lse) lse[row] = l[size_t(i)];
    }
  });
}

// What the backward of a level's queries reads of each again and again: its row of dout, log sum exp and dout . out.
struct OutGradient {
  std::vector<float> dout, lse, delta;

  OutGradient(const LshBackward& a, const LshLevel& level, const LshTiles& tiles) {
    const int64_t n = level.queries(), dim = a.shape.v_dim;
    std::vector<float> out(size_t(n * lsh_row(dim)));
    dout.resize(out.size()), lse.resize(size_t(n)), delta.resize(size_t(n));
    std::vector<const void*> douts, outs;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t row = tiles.row(level, i);
      douts.push_back(lsh_row_at(a.dout, row * dim)), outs.push_back(lsh_row_at(a.out, row * dim));
      lse[size_t(i)] = a.lse[row];
    }
    with_isa([&](auto isa) {
      lsh_gather_simd<isa()>(a.dout.type, douts.data(), n, dim, dout.data());
      lsh_gather_simd<isa()>(a.out.type, outs.data(), n, dim, out.data());
      lsh_dots_simd<isa()>(dout.data(), out.data(), n, dim, delta.data());
    });
  }
};

void backward_part(const LshBackward& a, const LshPart& part) {
  const LshShape& s = a.shape;
  const int64_t k_row = lsh_row(s.head_dim), v_row = lsh_row(s.v_dim);
  LshTiles tiles(s, part, a.q);
  std::vector<float> dkv(size_t(part.count * (k_row + v_row)), 0), dout(size_t(kLshLanes * v_row)), dout_lanes(dout.size()), ds;
  for_levels(s, part, a.q_codes, [&](const LshLevel& level) {
    const OutGradient of(a, level, tiles);
    std::vector<float> dq(size_t(level.queries() * k_row), 0);
    tiles.for_each(level, [&](const LshTile& tile, const int32_t* query) {
      if (ds.size() < size_t(tile.keys * kLshLanes)) ds.resize(size_t(tile.keys * kLshLanes));
      LshGradient g{.dout = dout.data(), .dout_lanes = dout_lanes.data(), .dkv = dkv.data(), .token = tiles.tokens(), .ds = ds.data()};
      for (int64_t j = 0; j < tile.lanes; ++j) {
        std::copy_n(&of.dout[size_t(query[j] * v_row)], v_row, &dout[size_t(j * v_row)]);
        g.lse[j] = of.lse[size_t(query[j])], g.delta[j] = of.delta[size_t(query[j])], g.dq[j] = &dq[size_t(query[j] * k_row)];
      }
      with_isa([&](auto isa) {
        lsh_transpose_simd<isa()>(dout.data(), s.v_dim, dout_lanes.data());
        lsh_backward_simd<isa()>(tile, g);
      });
    });
    for (int64_t i = 0; i < level.queries(); ++i) write_row(a.dq, tiles.row(level, i) * s.head_dim, s.head_dim, &dq[size_t(i * k_row)]);
  });
  for (int64_t t = 0; t < part.count; ++t) {
    const int64_t row = (part.q_begin + t) * s.kv_heads + part.kv_head;
    write_row(a.dk, row * s.head_dim, s.head_dim, &dkv[size_t(t * (k_row + v_row))]);
    write_row(a.dv, row * s.v_dim, s.v_dim, &dkv[size_t(t * (k_row + v_row) + k_row)]);
  }
}

void append(const LshPaged& a, const PagedSequence& q) {
  const LshShape& s = a.shape;
  const int64_t size = size_of(a.pool.type), k_bytes = s.kv_heads * s.head_dim * size, v_bytes = s.kv_heads * s.v_dim * size;
  for (int64_t r = 0; r < q.q_rows; ++r) {
    const int64_t row = q.q_begin + r, position = q.keys - q.q_rows + r;
    char* token = static_cast<char*>(a.pool.data) + q.blocks[position / a.pool.block_size] * a.pool.block_stride +
                  position % a.pool.block_size * lsh_token_bytes(s, a.pool.type);
    std::memcpy(token, static_cast<const char*>(a.k.data) + row * k_bytes, size_t(k_bytes));
    std::memcpy(token + k_bytes, static_cast<const char*>(a.v.data) + row * v_bytes, size_t(v_bytes));
    std::memcpy(token + k_bytes + v_bytes, a.k_codes + row * s.kv_heads * s.rounds, size_t(s.kv_heads * s.rounds * 2));
  }
}

LshPart packed_part(const LshShape& s, const ConstRows& k, const ConstRows& v, const int16_t* k_codes, const int32_t* cu_seqlens,
                    int64_t unit) {
  const int64_t begin = cu_seqlens[unit / s.kv_heads], count = cu_seqlens[unit / s.kv_heads + 1] - begin, head = unit % s.kv_heads;
  return {packed_tokens(s, k, v, k_codes, begin, head), k.type, begin, 0, count, head};
}

}  // namespace

void lsh_codes(const float* products, int64_t count, int64_t bits, int16_t* codes) {
  for (int64_t i = 0; i < count; ++i, products += bits) {
    int code = 0, parity = 0;
    for (int64_t b = 0; b < bits; ++b) {
      parity ^= products[b] > 0;
      code = 2 * code + parity;
    }
    codes[i] = int16_t(code);
  }
}

void lsh_attention_forward(const LshForward& a) {
  const LshShape& s = a.shape;
  check_shape(s, "lsh_attention_forward");
  check_lengths(a.cu_seqlens, a.sequences, "lsh_attention_forward");
  const int threads = threads_of(s, a.cu_seqlens[a.sequences]);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
  for (int64_t u = 0; u < a.sequences * s.kv_heads; ++u)
    forward_part(s, packed_part(s, a.k, a.v, a.k_codes, a.cu_seqlens, u), a.q, a.q_codes, a.out, a.lse);
}

void lsh_attention_backward(const LshBackward& a) {
  const LshShape& s = a.shape;
  check_shape(s, "lsh_attention_backward");
  check_lengths(a.cu_seqlens, a.sequences, "lsh_attention_backward");
  const int threads = threads_of(s, a.cu_seqlens[a.sequences]);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
  for (int64_t u = 0; u < a.sequences * s.kv_heads; ++u) backward_part(a, packed_part(s, a.k, a.v, a.k_codes, a.cu_seqlens, u));
}

int64_t lsh_token_bytes(const LshShape& s, Float type) {
  const int64_t bytes = s.kv_heads * ((s.head_dim + s.v_dim) * size_of(type) + s.rounds * 2);
  return (bytes + 3) / 4 * 4;
}

void lsh_attention_paged(const LshPaged& a) {
  const LshShape& s = a.shape;
  check_shape(s, "lsh_attention_paged");
  check(a.k.type == a.pool.type && a.v.type == a.pool.type, "[lsh_attention_paged] expected keys and values of the cache's type");
  for (int64_t i = 0; i < a.count; ++i) check_length(a.sequences[i].keys, "lsh_attention_paged");
  double queries = 0;
  for (int64_t i = 0; i < a.count; ++i) append(a, a.sequences[i]), queries += double(a.sequences[i].q_rows);
  const int threads = threads_of(s, queries);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
  for (int64_t u = 0; u < a.count * s.kv_heads; ++u) {
    const PagedSequence& q = a.sequences[u / s.kv_heads];
    const int64_t head = u % s.kv_heads;
    forward_part(s, {paged_tokens(s, a.pool, q.blocks, head), a.pool.type, q.q_begin, q.keys - q.q_rows, q.keys, head}, a.q, a.q_codes,
                 a.out, nullptr);
  }
}

}  // namespace r1::kernels
