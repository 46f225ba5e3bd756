#include "r1/kernels/cpu/lsh_attention.h"

#include <omp.h>

#include <cstring>

#include "r1/base/error.h"
#include "r1/kernels/cpu/bf16.h"
#include "r1/kernels/cpu/lsh_attention_simd.h"
#include "r1/kernels/cpu/lsh_buckets.h"

namespace r1::kernels {
namespace {

void check_shape(const LshShape& s, const char* op) {
  check(s.heads > 0 && s.kv_heads > 0 && s.heads % s.kv_heads == 0 && s.head_dim > 0 && s.v_dim > 0, "[", op,
        "] expected heads to be a multiple of kv_heads and head_dim, v_dim > 0, got ", s.heads, ", ", s.kv_heads, ", ", s.head_dim, ", ",
        s.v_dim);
  check(s.rounds > 0 && s.bits >= 0 && s.bits <= 15 && s.bucket > 0 && s.window > 0, "[", op,
        "] expected rounds, bucket, window > 0 and 0 to 15 bits, got ", s.rounds, ", ", s.bucket, ", ", s.window, ", ", s.bits);
}

int threads_for(const LshShape& s, double queries) {
  return queries * double(s.heads * s.head_dim * s.bucket) < 20000 ? 1 : omp_get_max_threads();
}

float value_at(const ConstRows& rows, int64_t i) {
  return rows.type == Float::kF32 ? static_cast<const float*>(rows.data)[i] : from_bf16(static_cast<const uint16_t*>(rows.data)[i]);
}
void read_row(const ConstRows& rows, int64_t offset, int64_t dim, float* to) {
  for (int64_t d = 0; d < dim; ++d) to[d] = value_at(rows, offset + d);
}
void write_row(const Rows& rows, int64_t offset, int64_t dim, const float* from) {
  for (int64_t d = 0; d < dim; ++d) {
    if (rows.type == Float::kF32)
      static_cast<float*>(rows.data)[offset + d] = from[d];
    else
      static_cast<uint16_t*>(rows.data)[offset + d] = to_bf16(from[d]);
  }
}

// Where the tokens of one sequence and kv head are.
struct Tokens {
  const char *k = nullptr, *v = nullptr, *codes = nullptr;  // of token 0; paged: of a block's first token, from the pool's start
  int64_t k_step = 0, v_step = 0, code_step = 0;            // bytes
  const int32_t* blocks = nullptr;
  int64_t block_size = 0, block_stride = 0;

  int64_t place(int64_t t, int64_t step) const { return blocks ? blocks[t / block_size] * block_stride + t % block_size * step : t * step; }
  const void* key(int64_t t) const { return k + place(t, k_step); }
  const void* value(int64_t t) const { return v + place(t, v_step); }
  const int16_t* code(int64_t t) const { return reinterpret_cast<const int16_t*>(codes + place(t, code_step)); }
};

// The scratch of a unit and what it runs: queries in order, the heads of the group for each.
class Unit {
 public:
  Unit(const LshShape& s, const Tokens& tokens, int64_t count, Float type)
      : s_(s), tokens_(tokens), codes_(gathered(s, tokens, count)), buckets_(s.rounds, s.bits, s.bucket, codes_.data(), count) {
    g_ = {.head_dim = s.head_dim, .v_dim = s.v_dim, .scale = s.scale, .type = type};
    q_.resize(size_t(s.head_dim));
    g_.q = q_.data();
  }

  // The keys of the query at `position`: fills query(). Positions ascend.
  void find(int64_t position, const int16_t* q_codes, const ConstRows& q, int64_t q_offset) {
    buckets_.advance(position);
    buckets_.select(q_codes, s_.window, keys_);
    k_.clear(), v_.clear();
    for (const int32_t t : keys_) {
      k_.push_back(tokens_.key(t)), v_.push_back(tokens_.value(t));
      fetch(k_.back(), s_.head_dim), fetch(v_.back(), s_.v_dim);
    }
    p_.resize((keys_.size() + 15) / 16 * 16);
    read_row(q, q_offset, s_.head_dim, q_.data());
    g_.k = k_.data(), g_.v = v_.data(), g_.count = int64_t(keys_.size()), g_.p = p_.data();
  }
  const GatheredQuery& query() const { return g_; }
  const std::vector<int32_t>& keys() const { return keys_; }

 private:
  // The keys of a query lie anywhere; all are on their way before the first is used.
  void fetch(const void* row, int64_t dim) const {
    for (int64_t b = 0; b < dim * size_of(g_.type); b += 64) __builtin_prefetch(static_cast<const char*>(row) + b);
  }
  static std::vector<int16_t> gathered(const LshShape& s, const Tokens& tokens, int64_t count) {
    std::vector<int16_t> codes(size_t(s.rounds * count));
    for (int64_t t = 0; t < count; ++t) {
      const int16_t* mine = tokens.code(t);
      for (int64_t r = 0; r < s.rounds; ++r) codes[size_t(r * count + t)] = mine[r];
    }
    return codes;
  }

  LshShape s_;
  Tokens tokens_;
  std::vector<int16_t> codes_;  // [rounds][tokens]
  LshBuckets buckets_;
  GatheredQuery g_;
  std::vector<int32_t> keys_;
  std::vector<const void*> k_, v_;
  std::vector<float> q_, p_;
};

Tokens packed_tokens(const LshShape& s, const ConstRows& k, const ConstRows& v, const int16_t* codes, int64_t begin, int64_t kv_head) {
  Tokens t;
  const int64_t k_size = size_of(k.type), v_size = size_of(v.type);
  t.k_step = s.kv_heads * s.head_dim * k_size, t.v_step = s.kv_heads * s.v_dim * v_size, t.code_step = s.kv_heads * s.rounds * 2;
  t.k = static_cast<const char*>(k.data) + begin * t.k_step + kv_head * s.head_dim * k_size;
  t.v = static_cast<const char*>(v.data) + begin * t.v_step + kv_head * s.v_dim * v_size;
  t.codes = reinterpret_cast<const char*>(codes) + begin * t.code_step + kv_head * s.rounds * 2;
  return t;
}

// The same side by side, a token's key and value in one place: what every query gathers from anywhere is then half as many places.
Tokens side_by_side(const LshShape& s, const Tokens& from, int64_t count, Float type, std::vector<char>& memory) {
  const int64_t k_bytes = s.head_dim * size_of(type), v_bytes = s.v_dim * size_of(type);
  memory.resize(size_t(count * (k_bytes + v_bytes)));
  for (int64_t t = 0; t < count; ++t) {
    std::memcpy(&memory[size_t(t * (k_bytes + v_bytes))], from.key(t), size_t(k_bytes));
    std::memcpy(&memory[size_t(t * (k_bytes + v_bytes) + k_bytes)], from.value(t), size_t(v_bytes));
  }
  Tokens to = from;
  to.k = memory.data(), to.v = memory.data() + k_bytes, to.k_step = to.v_step = k_bytes + v_bytes;
  return to;
}

Tokens paged_tokens(const LshShape& s, const KvPool& pool, const int32_t* blocks, int64_t kv_head) {
  Tokens t;
  const int64_t size = size_of(pool.type);
  t.k_step = t.v_step = t.code_step = lsh_token_bytes(s, pool.type);
  t.k = static_cast<const char*>(pool.data) + kv_head * s.head_dim * size;
  t.v = static_cast<const char*>(pool.data) + (s.kv_heads * s.head_dim + kv_head * s.v_dim) * size;
  t.codes = static_cast<const char*>(pool.data) + s.kv_heads * (s.head_dim + s.v_dim) * size + kv_head * s.rounds * 2;
  t.blocks = blocks, t.block_size = pool.block_size, t.block_stride = pool.block_stride;
  return t;
}

// One kv head of a sequence: rows q_begin.. are its tokens first .. count - 1.
struct ForwardUnit {
  Tokens tokens;
  int64_t q_begin, first, count, kv_head;
};

void forward_unit(const LshShape& s, const ForwardUnit& u, Float type, const ConstRows& q, const int16_t* q_codes, const Rows& out,
                  float* lse) {
  Unit unit(s, u.tokens, u.count, type);
  const int64_t group = s.heads / s.kv_heads;
  std::vector<float> y(size_t(s.v_dim), 0);
  for (int64_t p = u.first; p < u.count; ++p)
    for (int64_t h = u.kv_head * group; h < (u.kv_head + 1) * group; ++h) {
      const int64_t row = (u.q_begin + p - u.first) * s.heads + h;
      unit.find(p, q_codes + row * s.rounds, q, row * s.head_dim);
      float sum = 0;
      with_isa([&](auto isa) { sum = GatherSimd<isa()>::forward(unit.query(), y.data()); });
      write_row(out, row * s.v_dim, s.v_dim, y.data());
      if (lse) lse[row] = sum;
    }
}

void backward_unit(const LshBackward& a, int64_t begin, int64_t count, int64_t kv_head) {
  const LshShape& s = a.shape;
  std::vector<char> memory;
  Unit unit(s, side_by_side(s, packed_tokens(s, a.k, a.v, a.k_codes, begin, kv_head), count, a.k.type, memory), count, a.k.type);
  const int64_t group = s.heads / s.kv_heads;
  std::vector<float> dk(size_t(count * s.head_dim), 0), dv(size_t(count * s.v_dim), 0);
  std::vector<float> dq(size_t(s.head_dim)), out(size_t(s.v_dim)), dout(size_t(s.v_dim)), ds;
  for (int64_t p = 0; p < count; ++p)
    for (int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
      const int64_t row = (begin + p) * s.heads + h;
      unit.find(p, a.q_codes + row * s.rounds, a.q, row * s.head_dim);
      read_row(a.out, row * s.v_dim, s.v_dim, out.data());
      read_row(a.dout, row * s.v_dim, s.v_dim, dout.data());
      ds.resize((unit.keys().size() + 15) / 16 * 16);
      const GatheredGradient d{dout.data(), out.data(), a.lse[row], dq.data(), ds.data(), dk.data(), dv.data(), unit.keys().data()};
      with_isa([&](auto isa) { GatherSimd<isa()>::backward(unit.query(), d); });
      write_row(a.dq, row * s.head_dim, s.head_dim, dq.data());
    }
  for (int64_t t = 0; t < count; ++t) {
    const int64_t row = (begin + t) * s.kv_heads + kv_head;
    write_row(a.dk, row * s.head_dim, s.head_dim, &dk[size_t(t * s.head_dim)]);
    write_row(a.dv, row * s.v_dim, s.v_dim, &dv[size_t(t * s.v_dim)]);
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

}  // namespace

void lsh_attention_forward(const LshForward& a) {
  const LshShape& s = a.shape;
  check_shape(s, "lsh_attention_forward");
  const int threads = threads_for(s, a.cu_seqlens[a.sequences]);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
  for (int64_t u = 0; u < a.sequences * s.kv_heads; ++u) {
    const int64_t begin = a.cu_seqlens[u / s.kv_heads], count = a.cu_seqlens[u / s.kv_heads + 1] - begin, head = u % s.kv_heads;
    std::vector<char> memory;
    const Tokens tokens = side_by_side(s, packed_tokens(s, a.k, a.v, a.k_codes, begin, head), count, a.k.type, memory);
    forward_unit(s, {tokens, begin, 0, count, head}, a.k.type, a.q, a.q_codes, a.out, a.lse);
  }
}

void lsh_attention_backward(const LshBackward& a) {
  const LshShape& s = a.shape;
  check_shape(s, "lsh_attention_backward");
  const int threads = threads_for(s, a.cu_seqlens[a.sequences]);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
  for (int64_t u = 0; u < a.sequences * s.kv_heads; ++u) {
    const int64_t begin = a.cu_seqlens[u / s.kv_heads], count = a.cu_seqlens[u / s.kv_heads + 1] - begin;
    backward_unit(a, begin, count, u % s.kv_heads);
  }
}

int64_t lsh_token_bytes(const LshShape& s, Float type) {
  const int64_t bytes = s.kv_heads * ((s.head_dim + s.v_dim) * size_of(type) + s.rounds * 2);
  return (bytes + 3) / 4 * 4;
}

void lsh_attention_paged(const LshPaged& a) {
  const LshShape& s = a.shape;
  check_shape(s, "lsh_attention_paged");
  check(a.k.type == a.pool.type && a.v.type == a.pool.type, "[lsh_attention_paged] expected keys and values of the cache's type");
  double queries = 0;
  for (int64_t i = 0; i < a.count; ++i) append(a, a.sequences[i]), queries += double(a.sequences[i].q_rows);
  const int threads = threads_for(s, queries);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
  for (int64_t u = 0; u < a.count * s.kv_heads; ++u) {
    const PagedSequence& q = a.sequences[u / s.kv_heads];
    const int64_t head = u % s.kv_heads;
    forward_unit(s, {paged_tokens(s, a.pool, q.blocks, head), q.q_begin, q.keys - q.q_rows, q.keys, head}, a.pool.type, a.q, a.q_codes,
                 a.out, nullptr);
  }
}

}  // namespace r1::kernels
