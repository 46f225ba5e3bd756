// attention against a double-precision softmax, the backward against finite differences of it, and the contract of the bits: packed, paged,
// chunked, batched, on every instruction set, one query has one result.
#include "r1/kernels/cpu/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "r1/kernels/cpu/bf16.h"
#include "tests/kernels/kernel_testing.h"

namespace r1::kernels {
namespace {

struct Problem {
  AttentionShape s;
  std::vector<int32_t> cu;
  std::vector<float> q, k, v;
  int64_t tokens() const { return cu.back(); }
  int64_t sequences() const { return int64_t(cu.size()) - 1; }
};

Problem make_problem(AttentionShape s, std::vector<int32_t> lengths, uint64_t seed = 1) {
  Problem p{s, {0}, {}, {}, {}};
  for (int32_t n : lengths) p.cu.push_back(p.cu.back() + n);
  const int64_t t = p.tokens();
  p.q = random_floats(t * s.heads * s.head_dim, seed, 2), p.k = random_floats(t * s.kv_heads * s.head_dim, seed + 1, 2);
  p.v = random_floats(t * s.kv_heads * s.v_dim, seed + 2);
  return p;
}

struct Result {
  std::vector<float> out, lse;
};

Result run_packed(const Problem& p) {
  Result r{std::vector<float>(p.tokens() * p.s.heads * p.s.v_dim), std::vector<float>(p.tokens() * p.s.heads)};
  attention_forward({.shape = p.s,
                     .q = {p.q.data()},
                     .k = {p.k.data()},
                     .v = {p.v.data()},
                     .out = {r.out.data()},
                     .lse = r.lse.data(),
                     .cu_seqlens = p.cu.data(),
                     .sequences = p.sequences()});
  return r;
}

// The definition, in doubles: out[t, h, :] and lse.
struct Exact {
  std::vector<double> out, lse;
};
Exact exact(const Problem& p, const std::vector<double>& q, const std::vector<double>& k, const std::vector<double>& v) {
  const AttentionShape& s = p.s;
  Exact r{std::vector<double>(p.tokens() * s.heads * s.v_dim), std::vector<double>(p.tokens() * s.heads)};
  for (int64_t i = 0; i < p.sequences(); ++i)
    for (int64_t t = p.cu[i]; t < p.cu[i + 1]; ++t)
      for (int64_t h = 0; h < s.heads; ++h) {
        const int64_t kh = h / (s.heads / s.kv_heads), end = s.causal ? t + 1 : p.cu[i + 1];
        int64_t window = s.window;
        if (s.window_max > window) window = std::clamp((t - p.cu[i] + 1) / 4, window, s.window_max);
        int64_t begin = window ? std::max<int64_t>(p.cu[i], t + 1 - window) : p.cu[i];
        if (s.segments) begin = p.cu[i] + std::max<int64_t>(0, (t - p.cu[i]) / window * window - (window - 1));
        const auto kept = [&](int64_t j) { return s.kept_last == 0 || j - p.cu[i] < s.kept_first || j > t - s.kept_last; };
        std::vector<double> w;
        double sum = 0;
        for (int64_t j = begin; j < end; ++j) {
          double x = 0;
          for (int64_t d = 0; d < s.head_dim; ++d) x += q[(t * s.heads + h) * s.head_dim + d] * k[(j * s.kv_heads + kh) * s.head_dim + d];
          x *= s.scale;
          if (s.soft_cap > 0) x = s.soft_cap * std::tanh(x / s.soft_cap);
          if (s.bias) x += s.bias[h * s.bias_span + t - j];
          w.push_back(kept(j) ? std::exp(x) : 0);
          sum += w.back();
        }
        r.lse[t * s.heads + h] = std::log(sum);
        for (int64_t d = 0; d < s.v_dim; ++d)
          for (int64_t j = begin; j < end; ++j)
            r.out[(t * s.heads + h) * s.v_dim + d] += w[j - begin] / sum * v[(j * s.kv_heads + kh) * s.v_dim + d];
      }
  return r;
}
std::vector<double> doubles(const std::vector<float>& v) {
  return {v.begin(), v.end()};
}

// Biases for 3 heads of segments of 30 tokens, which is no multiple of a tile.
const std::vector<float>& biases() {
  static const std::vector<float> values = random_floats(3 * 59, 17, 2);
  return values;
}

std::vector<AttentionShape> shapes() {
  AttentionShape segments{.heads = 3, .kv_heads = 1, .head_dim = 16, .v_dim = 16, .scale = 0.3f, .window = 30};
  segments.segments = true, segments.bias = biases().data(), segments.bias_span = 59;
  return {
      {.heads = 4, .kv_heads = 2, .head_dim = 64, .v_dim = 64, .scale = 0.125f},
      {.heads = 7, .kv_heads = 1, .head_dim = 32, .v_dim = 16, .scale = 0.2f, .causal = false},
      {.heads = 3, .kv_heads = 3, .head_dim = 24, .v_dim = 20, .scale = 0.2f},
      {.heads = 2, .kv_heads = 1, .head_dim = 8, .v_dim = 128, .scale = 0.5f, .window = 70},
      {.heads = 2, .kv_heads = 2, .head_dim = 16, .v_dim = 16, .scale = 1.0f, .window = 5, .soft_cap = 3.0f},
      {.heads = 4, .kv_heads = 2, .head_dim = 16, .v_dim = 16, .scale = 0.3f, .window = 64},
      {.heads = 2, .kv_heads = 1, .head_dim = 16, .v_dim = 16, .scale = 0.3f, .window = 7, .window_max = 40},
      segments,
  };
}

// Of sequences that keep their first and last keys only: beside a window of the layer's own, too.
std::vector<AttentionShape> keeping_shapes() {
  std::vector<AttentionShape> all;
  for (const auto& [first, last] : std::vector<std::pair<int64_t, int64_t>>{{4, 20}, {0, 33}, {1, 1}, {70, 64}, {130, 5}, {4, 1000}})
    for (const int64_t window : {0, 50}) {
      AttentionShape s{.heads = 6, .kv_heads = 2, .head_dim = 16, .v_dim = 16, .scale = 0.3f, .window = window};
      s.kept_first = first, s.kept_last = last;
      all.push_back(s);
    }
  AttentionShape segments = shapes().back();
  segments.kept_first = 4, segments.kept_last = 22;
  all.push_back(segments);
  return all;
}

TEST(Attention, AgainstDoubles) {
  for (const AttentionShape& s : shapes()) {
    const Problem p = make_problem(s, {1, 64, 0, 17, 200});
    const Result r = run_packed(p);
    const Exact e = exact(p, doubles(p.q), doubles(p.k), doubles(p.v));
    for (size_t i = 0; i < r.out.size(); ++i) ASSERT_NEAR(r.out[i], e.out[i], 2e-6) << i;
    for (size_t i = 0; i < r.lse.size(); ++i) ASSERT_NEAR(r.lse[i], e.lse[i], 4e-6) << i;
  }
}

TEST(Attention, SameBitsOnEverySetAndThreadCount) {
  for (const AttentionShape& s : shapes()) {
    const Problem p = make_problem(s, {1, 64, 17, 130});
    const Result first = run_packed(p);
    for_each_isa_and_threads([&](const std::string& where) {
      const Result r = run_packed(p);
      EXPECT_EQ(0, std::memcmp(r.out.data(), first.out.data(), r.out.size() * 4)) << where;
      EXPECT_EQ(0, std::memcmp(r.lse.data(), first.lse.data(), r.lse.size() * 4)) << where;
    });
  }
}

TEST(Attention, SequencesDoNotSeeEachOther) {
  const AttentionShape s = shapes()[0];
  const Problem p = make_problem(s, {50, 90, 33});
  const Result together = run_packed(p);
  for (int64_t i = 0; i < p.sequences(); ++i) {
    const int64_t begin = p.cu[i], n = p.cu[i + 1] - begin;
    Problem one{s, {0, int32_t(n)}, {}, {}, {}};
    auto slice = [&](const std::vector<float>& x, int64_t row) {
      return std::vector<float>(x.begin() + begin * row, x.begin() + (begin + n) * row);
    };
    one.q = slice(p.q, s.heads * s.head_dim), one.k = slice(p.k, s.kv_heads * s.head_dim), one.v = slice(p.v, s.kv_heads * s.v_dim);
    EXPECT_EQ(run_packed(one).out, slice(together.out, s.heads * s.v_dim));
  }
}

// A pool of NaNs with shuffled blocks, filled and read in chunks of `chunk` tokens.
// Where a sequence does not keep all keys, the blocks between are lost before each step: their memory is NaNs and their place in the table has
// another block.
Result run_paged(const Problem& p, int64_t block_size, int64_t chunk, Float type, KvNumbers numbers = KvNumbers::kFloat) {
  const AttentionShape& s = p.s;
  const int64_t bytes = int64_t(attention_pool_bytes(s, {nullptr, type, block_size, 0, numbers})), stride = bytes + 64;
  std::vector<std::vector<int32_t>> tables(p.sequences());
  int32_t blocks = 0;
  for (int64_t i = 0; i < p.sequences(); ++i) blocks += int32_t((p.cu[i + 1] - p.cu[i] + block_size - 1) / block_size);
  std::vector<char> memory(blocks * stride, char(0xFF));
  int32_t next = blocks;
  for (int64_t at = 0; next > 0; at += block_size)
    for (int64_t i = 0; i < p.sequences(); ++i)
      if (p.cu[i + 1] - p.cu[i] > at) tables[i].push_back(--next);
  const KvPool pool{memory.data(), type, block_size, stride, numbers};
  const auto lose_between = [&](int64_t sequence, int64_t position) {
    const int64_t first = (s.kept_first + block_size - 1) / block_size, end = (position + 1 - s.kept_last) / block_size;
    for (int64_t b = first; s.kept_last > 0 && b < end; ++b) {
      int32_t& block = tables[sequence][size_t(b)];
      if (block != tables[sequence].back()) std::memset(memory.data() + block * stride, 0xFF, size_t(stride));
      block = tables[sequence].back();
    }
  };
  Result r{std::vector<float>(p.tokens() * s.heads * s.v_dim), std::vector<float>(p.tokens() * s.heads)};
  for (int64_t done = 0;; done += chunk) {
    std::vector<PagedSequence> batch;
    for (int64_t i = 0; i < p.sequences(); ++i) {
      const int64_t n = p.cu[i + 1] - p.cu[i];
      if (done < n) lose_between(i, done);
      if (done < n) batch.push_back({p.cu[i] + done, std::min(chunk, n - done), std::min(n, done + chunk), tables[i].data()});
    }
    if (batch.empty()) return r;
    append_kv(s, pool, {p.k.data()}, {p.v.data()}, batch.data(), int64_t(batch.size()));
    attention_forward_paged({.shape = s,
                             .q = {p.q.data()},
                             .pool = pool,
                             .out = {r.out.data()},
                             .lse = r.lse.data(),
                             .sequences = batch.data(),
                             .count = int64_t(batch.size())});
  }
}

TEST(Attention, PagedGivesTheBitsOfPacked) {
  for (const AttentionShape& s : shapes()) {
    if (!s.causal) continue;
    const Problem p = make_problem(s, {100, 1, 39});
    const Result packed = run_packed(p);
    for (int64_t block_size : {16, 48, 64})
      for (int64_t chunk : {1, 7, 33, 1000}) {
        const Result paged = run_paged(p, block_size, chunk, Float::kF32);
        ASSERT_EQ(0, std::memcmp(paged.out.data(), packed.out.data(), packed.out.size() * 4)) << block_size << " " << chunk;
        ASSERT_EQ(0, std::memcmp(paged.lse.data(), packed.lse.data(), packed.lse.size() * 4)) << block_size << " " << chunk;
      }
  }
}

TEST(Attention, Bf16PoolGivesTheBitsOfRoundedKeys) {
  const AttentionShape s = shapes()[2];
  Problem p = make_problem(s, {100, 1, 39});
  const Result paged = run_paged(p, 32, 5, Float::kBf16);
  for (float& x : p.k) x = from_bf16(to_bf16(x));
  for (float& x : p.v) x = from_bf16(to_bf16(x));
  EXPECT_EQ(run_packed(p).out, paged.out);
  for_each_isa_and_threads([&](const std::string& where) { EXPECT_EQ(run_paged(p, 32, 50, Float::kBf16).out, paged.out) << where; });
}

TEST(Attention, KeepingFirstAndLastKeys) {
  for (const AttentionShape& s : keeping_shapes()) {
    const Problem p = make_problem(s, {1, 300, 64, 0, 17});
    const std::string what = str("first ", s.kept_first, ", last ", s.kept_last, ", window ", s.window);
    const Exact e = exact(p, doubles(p.q), doubles(p.k), doubles(p.v));
    const Result r = run_packed(p);
    for (size_t i = 0; i < r.out.size(); ++i) ASSERT_NEAR(r.out[i], e.out[i], 2e-6) << what << " " << i;
    for (size_t i = 0; i < r.lse.size(); ++i) ASSERT_NEAR(r.lse[i], e.lse[i], 4e-6) << what << " " << i;
    for (int64_t block_size : {16, 48})
      for (int64_t chunk : {1, 7, 33, 1000}) {
        const Result paged = run_paged(p, block_size, chunk, Float::kF32);
        ASSERT_EQ(0, std::memcmp(paged.out.data(), r.out.data(), r.out.size() * 4)) << what << " " << block_size << " " << chunk;
        ASSERT_EQ(0, std::memcmp(paged.lse.data(), r.lse.data(), r.lse.size() * 4)) << what << " " << block_size << " " << chunk;
      }
    for_each_isa_and_threads([&](const std::string& where) { EXPECT_EQ(run_packed(p).out, r.out) << what << " " << where; });
  }
  Problem all = make_problem(shapes()[0], {130, 9});
  const Result want = run_packed(all);
  all.s.kept_first = 4, all.s.kept_last = 130;
  EXPECT_EQ(run_packed(all).out, want.out);
}

TEST(Attention, RowsOfInt8) {
  int8_t q[5];
  const float x[5] = {-2, 1, 0.5f, 127 * 0.25f, 0.125f};  // scale 0.25: halves go to the even number
  EXPECT_EQ(quantize_row(x, 5, q), 0.25f);
  EXPECT_EQ(std::vector<int>(q, q + 5), (std::vector<int>{-8, 4, 2, 127, 0}));
  const float odd[2] = {0.375f, -127 * 0.25f};
  EXPECT_EQ(quantize_row(odd, 2, q), 0.25f);
  EXPECT_EQ(std::vector<int>(q, q + 2), (std::vector<int>{2, -127}));
  const float zeros[2] = {0, -0.0f}, infinite[2] = {1, std::numeric_limits<float>::infinity()}, nan[2] = {std::nanf(""), 1};
  EXPECT_EQ(quantize_row(zeros, 2, q), 0);
  EXPECT_TRUE(std::isnan(quantize_row(infinite, 2, q)) && std::isnan(quantize_row(nan, 2, q)));
  const float tiny[2] = {2e-43f, -2e-43f};  // of a scale that is all but zero
  quantize_row(tiny, 2, q);
  EXPECT_EQ(std::vector<int>(q, q + 2), (std::vector<int>{127, -127}));
  const float huge[2] = {3e38f, -1e38f};
  EXPECT_NEAR(quantize_row(huge, 2, q) * q[1], -1e38f, 3e38f / 254);
}

// Each row of `dim` numbers as its int8 form stands for.
std::vector<double> as_int8(const std::vector<float>& x, int64_t dim) {
  std::vector<double> all(x.size());
  std::vector<int8_t> q(static_cast<size_t>(dim));
  for (size_t row = 0; row < x.size(); row += size_t(dim)) {
    const double scale = quantize_row(x.data() + row, dim, q.data());
    for (size_t d = 0; d < size_t(dim); ++d) all[row + d] = scale * q[d];
  }
  return all;
}

TEST(Attention, Int8PoolIsAttentionToTheRoundedKeys) {
  std::vector<AttentionShape> all = shapes();
  for (const AttentionShape& s : keeping_shapes()) all.push_back(s);
  for (const AttentionShape& s : all) {
    if (!s.causal) continue;
    const Problem p = make_problem(s, {200, 1, 39});
    const Result r = run_paged(p, 32, 1000, Float::kF32, KvNumbers::kInt8);
    const Exact e = exact(p, doubles(p.q), as_int8(p.k, s.head_dim), as_int8(p.v, s.v_dim));
    for (size_t i = 0; i < r.out.size(); ++i) ASSERT_NEAR(r.out[i], e.out[i], 4e-6) << i;
    for (int64_t chunk : {1, 9, 64}) EXPECT_EQ(run_paged(p, 16, chunk, Float::kF32, KvNumbers::kInt8).out, r.out) << chunk;
    for_each_isa_and_threads(
        [&](const std::string& where) { EXPECT_EQ(run_paged(p, 32, 50, Float::kF32, KvNumbers::kInt8).out, r.out) << where; });
  }
}

TEST(Attention, RowsOfInt4) {
  std::vector<float> x(40);
  for (int i = 0; i < 32; ++i) x[size_t(i)] = float(i % 16) * 0.5f - 2;  // -2 .. 5.5 by halves
  for (int i = 32; i < 40; ++i) x[size_t(i)] = -3;
  uint8_t q[40];
  uint16_t scale[2], low[2];
  quantize_row_int4(x.data(), 40, q, scale, low);
  EXPECT_EQ(from_bf16(scale[0]), 0.5f);
  EXPECT_EQ(from_bf16(low[0]), -2);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(q[i], i % 16);
  EXPECT_EQ(from_bf16(scale[1]), 0);  // all alike: the lowest number is all there is
  EXPECT_EQ(from_bf16(low[1]), -3);
  // Numbers far from 0, of which the lowest is rounded up when it is stored: none leaves the 16 steps.
  x = {1003, 1003, 1003.5f, 1005};
  quantize_row_int4(x.data(), 4, q, scale, low);
  EXPECT_EQ(from_bf16(low[0]), 1004);
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(from_bf16(low[0]) + from_bf16(scale[0]) * q[i], x[size_t(i)], 1004 / 256.0) << i;
  x = {1, std::numeric_limits<float>::infinity(), 2};
  quantize_row_int4(x.data(), 3, q, scale, low);
  EXPECT_TRUE(std::isnan(from_bf16(scale[0])) && std::isnan(from_bf16(low[0])));
  x = {std::nanf(""), 1, 2};
  quantize_row_int4(x.data(), 3, q, scale, low);
  EXPECT_TRUE(std::isnan(from_bf16(scale[0])) && std::isnan(from_bf16(low[0])));
}

// Each row of `dim` numbers as its int4 form stands for.
std::vector<float> as_int4(std::vector<float> x, int64_t dim) {
  std::vector<uint8_t> q(static_cast<size_t>(dim));
  std::vector<uint16_t> scale(static_cast<size_t>(dim)), low(static_cast<size_t>(dim));
  for (size_t row = 0; row < x.size(); row += size_t(dim)) {
    quantize_row_int4(x.data() + row, dim, q.data(), scale.data(), low.data());
    for (size_t d = 0; d < size_t(dim); ++d)
      x[row + d] = std::fma(from_bf16(scale[d / kInt4Group]), float(q[d]), from_bf16(low[d / kInt4Group]));
  }
  return x;
}

// Keys are mixed before they are rounded, and back.
std::vector<float> keys_as_int4(std::vector<float> x, int64_t dim) {
  const auto mix = [&] {
    for (size_t row = 0; row < x.size(); row += size_t(dim)) mix_row(x.data() + row, dim);
  };
  mix();
  x = as_int4(x, dim);
  mix();
  for (float& f : x) f *= 1 / float(mix_size(dim));
  return x;
}

TEST(Attention, MixedRows) {
  std::vector<float> x{1, 2, 4, 8};
  mix_row(x.data(), 4);
  EXPECT_EQ(x, (std::vector<float>{15, -5, -9, 3}));
  mix_row(x.data(), 4);
  EXPECT_EQ(x, (std::vector<float>{4, 8, 16, 32}));
  x = {1, 2, 3, 4, 5, 6};  // runs of two
  mix_row(x.data(), 6);
  EXPECT_EQ(x, (std::vector<float>{3, -1, 7, -1, 11, -1}));
  EXPECT_EQ(mix_size(6), 2);
  EXPECT_EQ(mix_size(64), 64);
  EXPECT_EQ(mix_size(7), 1);
}

TEST(Attention, Int4PoolGivesTheBitsOfRoundedKeys) {
  std::vector<AttentionShape> all = shapes();
  for (const AttentionShape& s : keeping_shapes()) all.push_back(s);
  all.push_back({.heads = 3, .kv_heads = 1, .head_dim = 37, .v_dim = 33, .scale = 0.2f});
  all.push_back({.heads = 4, .kv_heads = 2, .head_dim = 96, .v_dim = 80, .scale = 0.1f});
  for (const AttentionShape& s : all) {
    if (!s.causal) continue;
    Problem p = make_problem(s, {100, 1, 39});
    const Result paged = run_paged(p, 32, 1000, Float::kF32, KvNumbers::kInt4);
    for (int64_t chunk : {1, 27}) EXPECT_EQ(run_paged(p, 16, chunk, Float::kF32, KvNumbers::kInt4).out, paged.out) << chunk;
    for_each_isa_and_threads(
        [&](const std::string& where) { EXPECT_EQ(run_paged(p, 48, 50, Float::kF32, KvNumbers::kInt4).out, paged.out) << where; });
    p.k = keys_as_int4(p.k, s.head_dim), p.v = as_int4(p.v, s.v_dim);
    const Result packed = run_packed(p);
    EXPECT_EQ(packed.out, paged.out) << s.head_dim << " " << s.v_dim;
    EXPECT_EQ(packed.lse, paged.lse) << s.head_dim << " " << s.v_dim;
  }
}

// Keys that come without what they have in common are attended to with it.
TEST(Attention, Int4PoolAddsTheKeysOffset) {
  const int64_t positions = 205;
  const std::vector<float> bias = random_floats(2 * 40, 21, 100), cos = random_floats(positions * 20, 22),
                           sin = random_floats(positions * 20, 23);
  for (const int kind : {0, 1, 2}) {  // not rotated, halves, pairs
    AttentionShape s{.heads = 4, .kv_heads = 2, .head_dim = 40, .v_dim = 24, .scale = 0.01f};
    Problem p = make_problem(s, {200, 17});
    s.key_offset = {.bias = bias.data(), .positions = positions, .pairs = kind == 2};
    if (kind > 0) s.key_offset.cos = cos.data(), s.key_offset.sin = sin.data();
    p.s = s;
    const Result paged = run_paged(p, 32, 1000, Float::kF32, KvNumbers::kInt4);
    for (int64_t chunk : {1, 23}) EXPECT_EQ(run_paged(p, 16, chunk, Float::kF32, KvNumbers::kInt4).out, paged.out) << chunk;
    for_each_isa_and_threads(
        [&](const std::string& where) { EXPECT_EQ(run_paged(p, 48, 50, Float::kF32, KvNumbers::kInt4).out, paged.out) << where; });
    p.k = keys_as_int4(p.k, s.head_dim), p.v = as_int4(p.v, s.v_dim);
    for (int64_t t = 0; t < p.tokens(); ++t)
      for (int64_t h = 0; h < 2; ++h)
        for (int64_t i = 0; i < 20; ++i) {
          const int64_t position = t < 200 ? t : t - 200, first = kind == 2 ? 2 * i : i, second = kind == 2 ? 2 * i + 1 : i + 20;
          const float a = bias[h * 40 + first], b = bias[h * 40 + second], c = cos[position * 20 + i], n = sin[position * 20 + i];
          p.k[(t * 2 + h) * 40 + first] += kind ? a * c - b * n : a;
          p.k[(t * 2 + h) * 40 + second] += kind ? b * c + a * n : b;
        }
    EXPECT_EQ(run_packed(p).out, paged.out) << kind;
  }
}

const std::vector<KvNumbers> kNumbers{KvNumbers::kFloat, KvNumbers::kInt8, KvNumbers::kInt4};

// A scored pool of one sequence, fed `chunk` tokens at a time; its blocks are shuffled and dirty.
struct ScoredPool {
  std::vector<char> memory;
  std::vector<int32_t> blocks;
  KvPool pool;
  AttentionShape s;

  ScoredPool(const AttentionShape& shape, int64_t tokens, int64_t block_size, KvNumbers numbers, Float type = Float::kF32) : s(shape) {
    const int64_t count = (tokens + block_size - 1) / block_size;
    pool = {nullptr, type, block_size, 0, numbers, true};
    pool.block_stride = int64_t(attention_pool_bytes(s, pool));
    memory.assign(size_t(count * pool.block_stride), char(0xFF));
    pool.data = memory.data();
    for (int64_t b = 0; b < count; ++b) blocks.push_back(int32_t(count - 1 - b));
  }
  std::vector<float> feed(const Problem& p, int64_t first, int64_t end, int64_t held, int64_t chunk) {
    std::vector<float> out(size_t((end - first) * s.heads * s.v_dim)), lse(size_t(end * s.heads));
    for (int64_t at = first; at < end; at += chunk) {
      const int64_t n = std::min(chunk, end - at);
      const PagedSequence rows{0, n, held + at - first + n, blocks.data()};
      append_kv(s, pool, {p.k.data() + at * s.kv_heads * s.head_dim}, {p.v.data() + at * s.kv_heads * s.v_dim}, &rows, 1);
      const AttentionPaged a{.shape = s,
                             .q = {p.q.data() + at * s.heads * s.head_dim},
                             .pool = pool,
                             .out = {out.data() + (at - first) * s.heads * s.v_dim},
                             .lse = lse.data(),
                             .sequences = &rows,
                             .count = 1};
      attention_forward_paged(a);
      add_attention_scores(a);
    }
    return out;
  }
  std::vector<float> scores(int64_t slots) const {
    std::vector<float> all(size_t(s.kv_heads * slots));
    for (int64_t h = 0; h < s.kv_heads; ++h) read_attention_scores(s, pool, blocks.data(), h, slots, all.data() + h * slots);
    return all;
  }
};

TEST(Attention, ScoresAreSumsOfProbabilities) {
  const AttentionShape s{.heads = 6, .kv_heads = 2, .head_dim = 24, .v_dim = 20, .scale = 0.3f, .soft_cap = 8};
  Problem p = make_problem(s, {150});
  for (const KvNumbers numbers : kNumbers) {
    ScoredPool whole(s, 150, 32, numbers);
    whole.feed(p, 0, 150, 0, 150);
    const std::vector<float> scores = whole.scores(150);
    std::vector<double> k = doubles(p.k);
    if (numbers == KvNumbers::kInt8) k = as_int8(p.k, s.head_dim);
    if (numbers == KvNumbers::kInt4) k = doubles(keys_as_int4(p.k, s.head_dim));
    std::vector<double> want(scores.size());
    for (int64_t t = 0; t < 150; ++t)
      for (int64_t h = 0; h < s.heads; ++h) {
        std::vector<double> e;
        double sum = 0;
        for (int64_t j = 0; j <= t; ++j) {
          double x = 0;
          for (int64_t d = 0; d < s.head_dim; ++d)
            x += p.q[(t * s.heads + h) * s.head_dim + d] * k[(j * s.kv_heads + h / 3) * s.head_dim + d];
          e.push_back(std::exp(8 * std::tanh(x * s.scale / 8)));
          sum += e.back();
        }
        for (int64_t j = 0; j <= t; ++j) want[h / 3 * 150 + j] += e[j] / sum;
      }
    double total = 0;
    for (size_t i = 0; i < scores.size(); ++i) {
      EXPECT_NEAR(scores[i], want[i], 1e-4 * (1 + want[i])) << i;
      total += scores[i];
    }
    EXPECT_NEAR(total, 150 * 6, 0.01);
    for (int64_t chunk : {1, 7, 64}) {
      ScoredPool chunks(s, 150, 16, numbers);
      chunks.feed(p, 0, 150, 0, chunk);
      EXPECT_EQ(chunks.scores(150), scores) << chunk;
    }
    for_each_isa_and_threads([&](const std::string& where) {
      ScoredPool again(s, 150, 48, numbers);
      again.feed(p, 0, 150, 0, 50);
      EXPECT_EQ(again.scores(150), scores) << where;
    });
  }
}

// What is kept is as if it had come alone: attention after it gives the same bits, and its scores went with it.
TEST(Attention, KeptSlotsAreAsIfTheyHadComeAlone) {
  const AttentionShape s{.heads = 4, .kv_heads = 2, .head_dim = 40, .v_dim = 24, .scale = 0.3f};
  const Problem p = make_problem(s, {120});
  const int64_t held = 100, kept = 37;
  for (const KvNumbers numbers : kNumbers)
    for (const Float type : {Float::kF32, Float::kBf16}) {
      ScoredPool pool(s, 120, 32, numbers, type);
      pool.feed(p, 0, held, 0, held);
      const std::vector<float> before = pool.scores(held);
      Problem alone = p;
      std::vector<float> scores;
      for (int64_t h = 0; h < s.kv_heads; ++h) {
        std::vector<int64_t> places;
        for (int64_t i = 0; i < kept; ++i) places.push_back(h == 0 ? (i < 5 ? i : 2 * i) : i + 63);
        keep_slots(s, pool.pool, pool.blocks.data(), h, places.data(), kept);
        for (int64_t i = 0; i < kept; ++i) {
          scores.push_back(before[size_t(h * held + places[size_t(i)])]);
          std::copy_n(&p.k[size_t((places[size_t(i)] * 2 + h) * s.head_dim)], s.head_dim, &alone.k[size_t((i * 2 + h) * s.head_dim)]);
          std::copy_n(&p.v[size_t((places[size_t(i)] * 2 + h) * s.v_dim)], s.v_dim, &alone.v[size_t((i * 2 + h) * s.v_dim)]);
        }
      }
      EXPECT_EQ(pool.scores(kept), scores);
      ScoredPool other(s, 120, 16, numbers, type);
      other.feed(alone, 0, kept, 0, kept);
      EXPECT_EQ(pool.feed(p, held, 120, kept, 7), other.feed(p, held, 120, kept, 20));
    }
}

TEST(Attention, Bf16StorageOfEverything) {
  const AttentionShape s = shapes()[0];
  Problem p = make_problem(s, {70});
  auto narrow = [](std::vector<float>& x) {
    std::vector<uint16_t> h(x.size());
    for (size_t i = 0; i < x.size(); ++i) h[i] = to_bf16(x[i]), x[i] = from_bf16(h[i]);
    return h;
  };
  const auto q = narrow(p.q), k = narrow(p.k), v = narrow(p.v);
  const Result wide = run_packed(p);
  std::vector<uint16_t> out(wide.out.size());
  attention_forward({.shape = s,
                     .q = {q.data(), Float::kBf16},
                     .k = {k.data(), Float::kBf16},
                     .v = {v.data(), Float::kBf16},
                     .out = {out.data(), Float::kBf16},
                     .cu_seqlens = p.cu.data(),
                     .sequences = 1});
  for (size_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], to_bf16(wide.out[i]));
}

TEST(Attention, StridesAreHonoured) {  // q, k, v as columns of one [T, qkv] matrix
  const AttentionShape s = shapes()[0];
  const Problem p = make_problem(s, {20, 30});
  const int64_t qd = s.heads * s.head_dim, kd = s.kv_heads * s.head_dim, row = qd + 2 * kd;
  std::vector<float> qkv(p.tokens() * row), out(p.tokens() * (qd + 5), 9.0f);
  for (int64_t t = 0; t < p.tokens(); ++t) {
    std::copy_n(&p.q[t * qd], qd, &qkv[t * row]);
    std::copy_n(&p.k[t * kd], kd, &qkv[t * row + qd]);
    std::copy_n(&p.v[t * kd], kd, &qkv[t * row + qd + kd]);
  }
  attention_forward({.shape = s,
                     .q = {qkv.data(), Float::kF32, row},
                     .k = {qkv.data() + qd, Float::kF32, row},
                     .v = {qkv.data() + qd + kd, Float::kF32, row},
                     .out = {out.data(), Float::kF32, qd + 5},
                     .cu_seqlens = p.cu.data(),
                     .sequences = 2});
  const Result dense = run_packed(p);
  for (int64_t t = 0; t < p.tokens(); ++t) {
    ASSERT_TRUE(std::equal(&dense.out[t * qd], &dense.out[t * qd] + qd, &out[t * (qd + 5)]));
    ASSERT_EQ(out[t * (qd + 5) + qd], 9.0f);
  }
}

struct Gradients {
  std::vector<float> dq, dk, dv;
};
Gradients run_backward(const Problem& p, const Result& f, const std::vector<float>& dout) {
  Gradients g{std::vector<float>(p.q.size(), NAN), std::vector<float>(p.k.size(), NAN), std::vector<float>(p.v.size(), NAN)};
  attention_backward({.shape = p.s,
                      .q = {p.q.data()},
                      .k = {p.k.data()},
                      .v = {p.v.data()},
                      .out = {f.out.data()},
                      .lse = f.lse.data(),
                      .dout = {dout.data()},
                      .dq = {g.dq.data()},
                      .dk = {g.dk.data()},
                      .dv = {g.dv.data()},
                      .cu_seqlens = p.cu.data(),
                      .sequences = p.sequences()});
  return g;
}

TEST(Attention, BackwardAgainstFiniteDifferencesOfDoubles) {
  std::vector<Problem> problems;
  for (const AttentionShape& s : shapes())
    if (!s.segments) problems.push_back(make_problem(s, {70, 1, 9}));  // segments: below
  // Longer than a block of keys (512).
  problems.push_back(make_problem({.heads = 2, .kv_heads = 1, .head_dim = 8, .v_dim = 8, .scale = 0.4f}, {600, 3}));
  problems.push_back(make_problem({.heads = 2, .kv_heads = 1, .head_dim = 8, .v_dim = 8, .scale = 0.4f, .window = 100}, {1100}));
  for (const Problem& p : problems) {
    const AttentionShape& s = p.s;
    const auto dout = random_floats(p.tokens() * s.heads * s.v_dim, 9);
    const Gradients g = run_backward(p, run_packed(p), dout);
    auto q = doubles(p.q), k = doubles(p.k), v = doubles(p.v);
    auto loss = [&] {
      const Exact e = exact(p, q, k, v);
      double sum = 0;
      for (size_t i = 0; i < dout.size(); ++i) sum += e.out[i] * dout[i];
      return sum;
    };
    auto check_some = [&](std::vector<double>& x, const std::vector<float>& gradient, const char* name) {
      for (size_t i = 0; i < x.size(); ++i) ASSERT_TRUE(std::isfinite(gradient[i])) << name << i;
      for (uint64_t n = 0; n < 8; ++n) {
        const size_t i = random_bits(5, 5, n) % x.size();
        const double keep = x[i], h = 1e-5;
        x[i] = keep + h;
        const double up = loss();
        x[i] = keep - h;
        const double slope = (up - loss()) / (2 * h);
        x[i] = keep;
        ASSERT_NEAR(gradient[i], slope, 2e-5) << name << " " << i;
      }
    };
    check_some(q, g.dq, "dq"), check_some(k, g.dk, "dk"), check_some(v, g.dv, "dv");
  }
}

// Segments: the gradient of q and of the biases is that of the definition; keys and values move their own segment only, that is, as if
// every segment were a sequence's last queries and the keys before it were given.
TEST(Attention, BackwardOfSegments) {
  const AttentionShape s = shapes().back();
  const Problem p = make_problem(s, {70, 1, 9, 200});
  const auto dout = random_floats(p.tokens() * s.heads * s.v_dim, 9);
  const Result f = run_packed(p);
  Gradients g{std::vector<float>(p.q.size()), std::vector<float>(p.k.size()), std::vector<float>(p.v.size())};
  std::vector<float> dbias(size_t(s.heads * s.bias_span), NAN), unused(dbias.size());
  AttentionBackward a{.shape = s, .q = {p.q.data()}, .k = {p.k.data()}, .v = {p.v.data()}, .out = {f.out.data()}, .lse = f.lse.data()};
  a.dout = {dout.data()}, a.dq = {g.dq.data()}, a.dk = {g.dk.data()}, a.dv = {g.dv.data()};
  a.cu_seqlens = p.cu.data(), a.sequences = p.sequences(), a.dbias = dbias.data();
  attention_backward(a);
  auto q = doubles(p.q), k = doubles(p.k), v = doubles(p.v);
  std::vector<float> bias = biases();
  auto loss = [&](int64_t from, int64_t to) {  // of the queries [from, to)
    Problem moved = p;
    moved.s.bias = bias.data();
    const Exact e = exact(moved, q, k, v);
    double sum = 0;
    for (int64_t i = from * s.heads * s.v_dim; i < to * s.heads * s.v_dim; ++i) sum += e.out[i] * dout[i];
    return sum;
  };
  auto slope = [&](auto& x, size_t i, double h, int64_t from, int64_t to) {
    const auto keep = x[i];
    x[i] = keep + h;
    const double up = loss(from, to), top = x[i];
    x[i] = keep - h;
    const double down = loss(from, to), result = (up - down) / (top - x[i]);
    x[i] = keep;
    return result;
  };
  for (int64_t t : {0, 29, 30, 59, 60, 69, 70, 71, 109, 110, 200, 279}) {
    int64_t begin = 0;
    for (int32_t c : p.cu)
      if (c <= t) begin = c;
    const int64_t own = begin + (t - begin) / s.window * s.window, end = std::min<int64_t>(own + s.window, p.tokens());
    ASSERT_NEAR(g.dq[t * 48 + 5], slope(q, size_t(t * 48 + 5), 1e-5, 0, p.tokens()), 2e-5) << t;
    ASSERT_NEAR(g.dk[t * 16 + 3], slope(k, size_t(t * 16 + 3), 1e-5, own, end), 2e-5) << t;
    ASSERT_NEAR(g.dv[t * 16 + 3], slope(v, size_t(t * 16 + 3), 1e-5, own, end), 2e-5) << t;
  }
  for (size_t d : {0, 1, 29, 30, 58, 59 + 17, 2 * 59 + 58}) ASSERT_NEAR(dbias[d], slope(bias, d, 1e-3, 0, p.tokens()), 2e-4) << d;
}

// Queries that are a sequence's last tokens against all its keys: the bits of the whole forward, and gradients that add up to the whole's,
// to its very bits where the backward adds them.
TEST(Attention, ChunksOfQueriesAddUp) {
  for (const AttentionShape& s : shapes()) {
    if (!s.causal) continue;
    const Problem p = make_problem(s, {90, 37});
    std::vector<float> added_dk(p.k.size()), added_dv(p.v.size());
    const Result whole = run_packed(p);
    const auto dout = random_floats(p.tokens() * s.heads * s.v_dim, 9);
    const Gradients want = run_backward(p, whole, dout);
    std::vector<double> dk(p.k.size()), dv(p.v.size());
    const int64_t qd = s.heads * s.head_dim, od = s.heads * s.v_dim;
    for (const auto& [from, to] : std::vector<std::pair<int32_t, int32_t>>{{0, 33}, {33, 64}, {64, 110}, {110, 127}}) {
      const int32_t cut = std::clamp(90, from, to);
      // Keys of the sequences that the chunk touches, from the start of the first.
      const int32_t k0 = from < 90 ? 0 : 90;
      const std::vector<int32_t> cu_q{0, cut - from, to - from},
          cu_k = from < 90 ? std::vector<int32_t>{0, cut, to} : std::vector<int32_t>{0, 0, to - 90};
      Result r{std::vector<float>((to - from) * od), std::vector<float>((to - from) * s.heads)};
      const float *q = &p.q[from * qd], *k = &p.k[k0 * s.kv_heads * s.head_dim], *v = &p.v[k0 * s.kv_heads * s.v_dim];
      attention_forward({.shape = s,
                         .q = {q},
                         .k = {k},
                         .v = {v},
                         .out = {r.out.data()},
                         .lse = r.lse.data(),
                         .cu_seqlens = cu_q.data(),
                         .sequences = 2,
                         .cu_keys = cu_k.data()});
      ASSERT_TRUE(std::equal(r.out.begin(), r.out.end(), &whole.out[from * od])) << from;
      ASSERT_TRUE(std::equal(r.lse.begin(), r.lse.end(), &whole.lse[from * s.heads])) << from;
      Gradients g{std::vector<float>((to - from) * qd), std::vector<float>((to - k0) * s.kv_heads * s.head_dim),
                  std::vector<float>((to - k0) * s.kv_heads * s.v_dim)};
      AttentionBackward a{.shape = s, .q = {q}, .k = {k}, .v = {v}, .out = {r.out.data()}, .lse = r.lse.data()};
      a.dout = {&dout[from * od]}, a.dq = {g.dq.data()}, a.dk = {g.dk.data()}, a.dv = {g.dv.data()};
      a.cu_seqlens = cu_q.data(), a.sequences = 2, a.cu_keys = cu_k.data();
      attention_backward(a);
      ASSERT_TRUE(std::equal(g.dq.begin(), g.dq.end(), &want.dq[from * qd])) << from;
      a.dk = {&added_dk[k0 * s.kv_heads * s.head_dim]}, a.dv = {&added_dv[k0 * s.kv_heads * s.v_dim]}, a.add_keys = true;
      attention_backward(a);
      for (size_t i = 0; i < g.dk.size(); ++i) dk[k0 * s.kv_heads * s.head_dim + i] += g.dk[i];
      for (size_t i = 0; i < g.dv.size(); ++i) dv[k0 * s.kv_heads * s.v_dim + i] += g.dv[i];
    }
    for (size_t i = 0; i < dk.size(); ++i) ASSERT_NEAR(dk[i], want.dk[i], 1e-5);
    for (size_t i = 0; i < dv.size(); ++i) ASSERT_NEAR(dv[i], want.dv[i], 1e-5);
    EXPECT_EQ(added_dk, want.dk);
    EXPECT_EQ(added_dv, want.dv);
  }
}

TEST(Attention, BackwardHasOneResult) {
  for (const AttentionShape& s : shapes()) {
    const Problem p = make_problem(s, {130, 20, s.heads < 3 ? 530 : 0});
    const auto dout = random_floats(p.tokens() * s.heads * s.v_dim, 9);
    const Result f = run_packed(p);
    const Gradients first = run_backward(p, f, dout);
    for_each_isa_and_threads([&](const std::string& where) {
      const Gradients g = run_backward(p, f, dout);
      EXPECT_EQ(0, std::memcmp(g.dq.data(), first.dq.data(), g.dq.size() * 4)) << where;
      EXPECT_EQ(0, std::memcmp(g.dk.data(), first.dk.data(), g.dk.size() * 4)) << where;
      EXPECT_EQ(0, std::memcmp(g.dv.data(), first.dv.data(), g.dv.size() * 4)) << where;
    });
  }
}

// A window at the edges of tiles (16 keys) and steps (64): every query against the definition; and a window of the whole is none.
TEST(Attention, WindowsAtTheEdgesOfTiles) {
  for (const int64_t window : {1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129}) {
    const AttentionShape s{.heads = 1, .kv_heads = 1, .head_dim = 16, .v_dim = 16, .scale = 0.25f, .window = window};
    const Problem p = make_problem(s, {200, 64, 65});
    const Result r = run_packed(p);
    const Exact e = exact(p, doubles(p.q), doubles(p.k), doubles(p.v));
    for (size_t i = 0; i < r.out.size(); ++i) ASSERT_NEAR(r.out[i], e.out[i], 2e-6) << window << " " << i;
  }
  Problem all = make_problem({.heads = 2, .kv_heads = 1, .head_dim = 16, .v_dim = 16, .scale = 0.25f}, {130, 9});
  const Result want = run_packed(all);
  all.s.window = 130;
  EXPECT_EQ(run_packed(all).out, want.out);
}

TEST(Attention, AGrowingWindowIsAQuarterOfTheTokensSoFar) {
  const AttentionShape s{.heads = 1, .kv_heads = 1, .head_dim = 1, .v_dim = 1, .scale = 1, .window = 256, .window_max = 4096};
  for (const auto& [position, window] : std::vector<std::pair<int64_t, int64_t>>{
           {0, 256}, {1026, 256}, {1027, 257}, {4095, 1024}, {16382, 4095}, {16383, 4096}, {1000000, 4096}})
    EXPECT_EQ(s.window_at(position), window) << position;
}

TEST(Attention, RefusesNonsense) {
  AttentionForward a{};
  a.shape = {.heads = 2, .kv_heads = 2, .head_dim = 8, .v_dim = 8, .scale = 1, .window = 0, .window_max = 5};
  EXPECT_THROW(attention_forward(a), Error);
  a.shape = {.heads = 3, .kv_heads = 2, .head_dim = 8, .v_dim = 8, .scale = 1};
  EXPECT_THROW(attention_forward(a), Error);
  const int32_t cu[] = {0, 0};
  AttentionBackward b{.shape = {.heads = 2, .kv_heads = 2, .head_dim = 8, .v_dim = 8, .scale = 1}};
  b.cu_seqlens = cu, b.sequences = 1, b.dk.type = Float::kBf16, b.add_keys = true;
  EXPECT_THROW(attention_backward(b), Error);
  EXPECT_THROW(attention_block_bytes(24, 1, 8, 8, Float::kF32), Error);
  EXPECT_EQ(attention_block_bytes(32, 2, 64, 64, Float::kBf16), 32u * 2 * 128 * 2);
  EXPECT_EQ(attention_block_bytes_int8(32, 2, 64, 64), 32u * 2 * (128 + 8));
  EXPECT_THROW(attention_block_bytes_int8(24, 1, 8, 8), Error);
  b.dk.type = Float::kF32, b.shape.kept_last = 5;
  EXPECT_THROW(attention_backward(b), Error);
}

}  // namespace
}  // namespace r1::kernels
