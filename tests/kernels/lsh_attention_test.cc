// The promise of the bits: one result on every instruction set and number of threads, packed and paged; the selection of keys by hand, and
// results against the formulas where tiles, levels, rounds and buckets meet. Against the op's definition: tests/ops/lsh_attention_test.cc.
#include "r1/kernels/cpu/lsh_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "r1/kernels/cpu/bf16.h"
#include "r1/kernels/cpu/lsh_buckets.h"
#include "r1/kernels/cpu/lsh_lone.h"
#include "tests/kernels/kernel_testing.h"

namespace r1::kernels {
namespace {

const LshShape kShape{
    .heads = 4, .kv_heads = 2, .head_dim = 20, .v_dim = 12, .scale = 0.3f, .rounds = 2, .bits = 6, .bucket = 5, .window = 2};
// Tiles of all sizes: buckets with more queries than a tile has lanes, several heads a group, a window longer than a bucket.
const LshShape kWide{
    .heads = 6, .kv_heads = 2, .head_dim = 40, .v_dim = 35, .scale = 0.3f, .rounds = 3, .bits = 3, .bucket = 16, .window = 21};

struct Problem {
  LshShape s;
  int64_t tokens;
  std::vector<float> q, k, v, dout;
  std::vector<int16_t> q_codes, k_codes;
  std::vector<int32_t> cu;
};

// `crowd` of ten codes are the same one, so that its bucket overflows and rounds find keys again that they found before.
std::vector<int16_t> make_codes(int64_t count, int64_t bits, uint64_t seed, uint64_t crowd) {
  std::vector<int16_t> codes;
  for (int64_t i = 0; i < count; ++i)
    codes.push_back(random_bits(seed, 1, uint64_t(i)) % 10 < crowd ? int16_t(1)
                                                                   : int16_t(random_bits(seed, 2, uint64_t(i)) % (1u << bits)));
  return codes;
}

Problem make_problem(const LshShape& s, std::vector<int32_t> cu, uint64_t crowd) {
  const int64_t n = cu.back();
  Problem p{.s = s, .tokens = n};
  p.q = random_floats(n * s.heads * s.head_dim, 1), p.k = random_floats(n * s.kv_heads * s.head_dim, 2);
  p.v = random_floats(n * s.kv_heads * s.v_dim, 3), p.dout = random_floats(n * s.heads * s.v_dim, 4);
  p.q_codes = make_codes(n * s.heads * s.rounds, s.bits, 5, crowd), p.k_codes = make_codes(n * s.kv_heads * s.rounds, s.bits, 6, crowd);
  p.cu = std::move(cu);
  return p;
}
std::vector<Problem> problems() {
  return {make_problem(kShape, {0, 40, 41, 150}, 0), make_problem(kShape, {0, 40, 41, 150}, 6), make_problem(kWide, {0, 300}, 0),
          make_problem(kWide, {0, 300}, 7)};
}

struct Result {
  std::vector<float> out, lse, dq, dk, dv;
  bool operator==(const Result&) const = default;
};

Result run(const Problem& p) {
  const LshShape& s = p.s;
  Result r{std::vector<float>(p.dout.size()), std::vector<float>(size_t(p.tokens * s.heads)), std::vector<float>(p.q.size()),
           std::vector<float>(p.k.size()), std::vector<float>(p.v.size())};
  const auto sequences = int64_t(p.cu.size()) - 1;
  lsh_attention_forward({s,
                         {p.q.data()},
                         {p.k.data()},
                         {p.v.data()},
                         p.q_codes.data(),
                         p.k_codes.data(),
                         {r.out.data()},
                         r.lse.data(),
                         p.cu.data(),
                         sequences});
  lsh_attention_backward({s,
                          {p.q.data()},
                          {p.k.data()},
                          {p.v.data()},
                          {r.out.data()},
                          p.q_codes.data(),
                          p.k_codes.data(),
                          r.lse.data(),
                          {p.dout.data()},
                          {r.dq.data()},
                          {r.dk.data()},
                          {r.dv.data()},
                          p.cu.data(),
                          sequences});
  return r;
}

TEST(LshAttention, SameBitsOnEverySetAndThreadCount) {
  for (const Problem& p : problems()) {
    const Result first = run(p);
    for (float x : first.dk) ASSERT_TRUE(x == x);
    for_each_isa_and_threads([&](const std::string& where) { EXPECT_TRUE(run(p) == first) << where; });
  }
}

// The keys of the query at `position` as the definition counts them: bucket by bucket backwards from the query.
std::vector<bool> seen_by(const LshShape& s, int64_t position, const int16_t* q_code,
                          const std::function<int16_t(int64_t, int64_t)>& k_code) {
  std::vector<bool> seen(size_t(position + 1), false);
  int64_t level = 0;
  while (level < s.bits && (s.bucket << level) < position + 1) ++level;
  for (int64_t t = std::max<int64_t>(0, position - s.window + 1); t <= position; ++t) seen[size_t(t)] = true;
  const int64_t n = int64_t{1} << level;
  for (int64_t r = 0; r < s.rounds; ++r) {
    const int64_t own = q_code[r] >> (s.bits - level);
    std::map<int64_t, int64_t> left{{(own + 1) % n, s.bucket}, {(own + n - 1) % n, s.bucket}};
    left[own] = 2 * s.bucket;
    for (int64_t t = position; t >= 0; --t)
      if (const auto it = left.find(k_code(t, r) >> (s.bits - level)); it != left.end() && it->second-- > 0) seen[size_t(t)] = true;
  }
  return seen;
}

struct Exact {
  std::vector<double> out, dq, dk, dv;
};
// By the formulas, one pair of a query and a key at a time, in double.
Exact by_definition(const Problem& p) {
  const LshShape& s = p.s;
  Exact e{std::vector<double>(p.dout.size()), std::vector<double>(p.q.size()), std::vector<double>(p.k.size()),
          std::vector<double>(p.v.size())};
  for (size_t i = 0; i + 1 < p.cu.size(); ++i)
    for (int64_t row = p.cu[i]; row < p.cu[i + 1]; ++row)
      for (int64_t h = 0; h < s.heads; ++h) {
        const int64_t begin = p.cu[i], kv = h / (s.heads / s.kv_heads), at = row * s.heads + h;
        const std::vector<bool> seen = seen_by(s, row - begin, &p.q_codes[size_t(at * s.rounds)], [&](int64_t t, int64_t r) {
          return p.k_codes[size_t(((begin + t) * s.kv_heads + kv) * s.rounds + r)];
        });
        const float *q = &p.q[size_t(at * s.head_dim)], *dout = &p.dout[size_t(at * s.v_dim)];
        const auto k = [&](int64_t t) { return ((begin + t) * s.kv_heads + kv) * s.head_dim; };
        const auto v = [&](int64_t t) { return ((begin + t) * s.kv_heads + kv) * s.v_dim; };
        std::vector<double> w(seen.size(), 0), dw(seen.size(), 0);
        double sum = 0, delta = 0;
        for (size_t t = 0; t < w.size(); ++t) {
          double x = 0;
          for (int64_t d = 0; d < s.head_dim; ++d) x += double(q[d]) * p.k[size_t(k(int64_t(t)) + d)];
          sum += w[t] = seen[t] ? std::exp(s.scale * x) : 0;
        }
        for (size_t t = 0; t < w.size(); ++t) {
          w[t] /= sum;
          for (int64_t d = 0; d < s.v_dim; ++d) {
            e.out[size_t(at * s.v_dim + d)] += w[t] * p.v[size_t(v(int64_t(t)) + d)];
            e.dv[size_t(v(int64_t(t)) + d)] += w[t] * dout[d];
            dw[t] += double(dout[d]) * p.v[size_t(v(int64_t(t)) + d)];
          }
          delta += w[t] * dw[t];
        }
        for (size_t t = 0; t < w.size(); ++t)
          for (int64_t d = 0; d < s.head_dim; ++d) {
            const double ds = w[t] * (dw[t] - delta) * s.scale;
            e.dq[size_t(at * s.head_dim + d)] += ds * p.k[size_t(k(int64_t(t)) + d)];
            e.dk[size_t(k(int64_t(t)) + d)] += ds * q[d];
          }
      }
  return e;
}

double apart(const std::vector<float>& got, const std::vector<double>& want) {
  double most = 0;
  for (size_t i = 0; i < got.size(); ++i) most = std::max(most, std::abs(got[i] - want[i]) / (1 + std::abs(want[i])));
  return most;
}

TEST(LshAttention, EqualsTheFormulas) {
  for (const Problem& p : problems()) {
    const Result got = run(p);
    const Exact want = by_definition(p);
    EXPECT_LE(apart(got.out, want.out), 2e-6);
    EXPECT_LE(apart(got.dq, want.dq), 5e-6);
    EXPECT_LE(apart(got.dk, want.dk), 5e-6);
    EXPECT_LE(apart(got.dv, want.dv), 5e-6);
  }
}

// Rows of bf16 are read as the floats that they are, results rounded.
TEST(LshAttention, Bf16IsReadAsItIs) {
  Problem p = make_problem(kWide, {0, 130}, 4);
  std::vector<uint16_t> q, k, v, out(p.dout.size());
  for (auto [from, to] : {std::pair(&p.q, &q), {&p.k, &k}, {&p.v, &v}})
    for (float& x : *from) to->push_back(to_bf16(x)), x = from_bf16(to->back());
  const Result want = run(p);
  const ConstRows qr{q.data(), Float::kBf16}, kr{k.data(), Float::kBf16}, vr{v.data(), Float::kBf16};
  std::vector<float> lse(want.lse.size());
  lsh_attention_forward({p.s, qr, kr, vr, p.q_codes.data(), p.k_codes.data(), {out.data(), Float::kBf16}, lse.data(), p.cu.data(), 1});
  EXPECT_EQ(lse, want.lse);
  for (size_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], to_bf16(want.out[i])) << i;
}

// What a query does not see has no part in its bits, though it may go through the same tile.
TEST(LshAttention, LaterTokensChangeNothing) {
  for (Problem p : problems()) {
    const Result want = run(p);
    const int64_t last = p.tokens - 1, kept = last * p.s.heads * p.s.v_dim;
    for (int64_t i = 0; i < p.s.kv_heads * p.s.head_dim; ++i) p.k[size_t(last * p.s.kv_heads * p.s.head_dim + i)] = 1e30f;
    for (int64_t i = 0; i < p.s.kv_heads * p.s.v_dim; ++i) p.v[size_t(last * p.s.kv_heads * p.s.v_dim + i)] = -1e30f;
    const Result got = run(p);
    EXPECT_TRUE(std::equal(got.out.begin(), got.out.begin() + kept, want.out.begin()));
    EXPECT_FALSE(got == want);
  }
}

TEST(LshAttention, SelectsByHand) {
  // One round, codes of 2 bits, buckets of 2 tokens: tokens 0 and 1 share one bucket, 2 and 3 have two, from 4 on there are four.
  const std::vector<int16_t> codes{0, 3, 1, 0, 0, 2, 0, 0, 0, 0, 0};
  const auto select = [&](int64_t level, int64_t position, int16_t code, int64_t window) {
    const LshLevel all({1, 2, 2, window}, level, {codes.data(), 11}, position + 1, {&code, 1}, position, 1);
    std::vector<int32_t> keys;
    for (int which = 0; which < 3; ++which)
      for (int32_t place = all.reach(0, 0).lo[which]; place < all.reach(0, 0).hi[which]; ++place) keys.push_back(all.keys(0)[place]);
    return keys;
  };
  using Keys = std::vector<int32_t>;
  EXPECT_EQ(select(0, 0, 2, 1), Keys{});  // of its window
  EXPECT_EQ(select(0, 1, 0, 1), Keys({0}));
  EXPECT_EQ(select(1, 3, 0, 1), Keys({1, 0, 2}));         // upper bit: the neighbour {1}, then {0, 2, 3} without 3 itself
  EXPECT_EQ(select(2, 5, 1, 1), Keys({3, 4, 2}));         // below {0, 3, 4}, the last two; own {2}; above {5} is itself
  EXPECT_EQ(select(2, 5, 2, 1), Keys({2, 1}));            // below {2}, own {5} is itself, above {1}
  EXPECT_EQ(select(2, 10, 0, 1), Keys({1, 7, 8, 9, 2}));  // own: the last four of eight, one of them itself
  EXPECT_EQ(select(2, 10, 0, 3), Keys({1, 7, 2}));        // what the window has counts among the last four
  EXPECT_EQ(select(2, 10, 0, 9), Keys({1}));
}
TEST(LshAttention, FindsEarlierRoundsKeys) {
  // Two rounds over four tokens in two buckets: round 0 shows {0, 1, 2} to a query in either bucket, so round 1 has nothing new.
  const std::vector<int16_t> codes{0, 1, 0, 0, 1, 1, 0, 1}, query{0, 1};
  const LshLevel level({2, 1, 2, 1}, 1, {codes.data(), 4}, 4, {query.data(), 1}, 3, 1);
  for (int64_t t = 0; t < 3; ++t) {
    EXPECT_FALSE(level.found_before(0, 0, t)) << t;
    EXPECT_TRUE(level.found_before(1, 0, t)) << t;
  }
  EXPECT_FALSE(level.found_before(1, 0, 3));  // in the window
}
using Stages = std::vector<std::vector<int32_t>>;

// What a query sees: its window, then what each round adds, from all queries' buckets and by itself.
Stages from_level(const LshLevel& level, const LshHash& hash, int64_t query) {
  const int64_t p = level.position(query);
  Stages stages(1);
  for (int64_t t = std::max<int64_t>(0, p - hash.window + 1); t <= p; ++t) stages[0].push_back(int32_t(t));
  for (int64_t r = 0; r < level.rounds(); ++r) {
    stages.emplace_back();
    for (int which = 0; which < 3; ++which)
      for (int32_t place = level.reach(r, query).lo[which]; place < level.reach(r, query).hi[which]; ++place)
        if (const int32_t t = level.keys(r)[place]; !level.found_before(r, query, t)) stages.back().push_back(t);
  }
  return stages;
}
Stages from_lone(const LshLone& lone) {
  Stages stages;
  for (int64_t s = 0, begin = 0; s < lone.stages(); begin = lone.ends()[s++])
    stages.emplace_back(lone.tokens() + begin, lone.tokens() + lone.ends()[s]);
  return stages;
}

TEST(LshAttention, ALoneQuerySeesWhatItSeesAmongOthers) {
  constexpr int64_t kRounds = 3, kMost = 200;
  std::vector<int16_t> codes, by_round(kRounds * kMost);
  // Any 16 bits will do, though codes have fewer; three of ten are the same one.
  for (int64_t i = 0; i < kRounds * kMost; ++i)
    codes.push_back(random_bits(8, 1, uint64_t(i)) % 10 < 3 ? int16_t(-7) : int16_t(random_bits(8, 2, uint64_t(i))));
  for (int64_t t = 0; t < kMost; ++t)
    for (int64_t r = 0; r < kRounds; ++r) by_round[size_t(r * kMost + t)] = codes[size_t(t * kRounds + r)];
  LshTokens tokens;
  tokens.codes = reinterpret_cast<const char*>(codes.data()), tokens.code_step = kRounds * 2;
  int64_t listed = 0;
  for (const LshHash& hash : {LshHash{kRounds, 4, 3, 1}, LshHash{kRounds, 6, 20, 33}, LshHash{1, 15, 1, 2}})
    for (int64_t count : {1, 2, 15, 16, 17, 64, 200})
      for (int64_t level = 0; level <= std::min<int64_t>(hash.bits, 5); ++level)
        for (int64_t like : {0, 5, 70, 131}) {
          const int16_t* query = &codes[size_t(like * kRounds)];
          const LshLevel all(hash, level, {by_round.data(), kMost}, count, {query, 1}, count - 1, 1);
          LshLone lone(hash, tokens, count);
          lone.see(level, count - 1, query);
          EXPECT_EQ(from_lone(lone), from_level(all, hash, 0)) << hash.bits << " bits, level " << level << ", " << count << " tokens";
          listed += lone.keys();
          // Of a position before the last, the tokens after it are not there.
          if (count < 3) continue;
          const LshLevel before(hash, level, {by_round.data(), kMost}, count - 2, {query, 1}, count - 3, 1);
          lone.see(level, count - 3, query);
          EXPECT_EQ(from_lone(lone), from_level(before, hash, 0)) << hash.bits << " bits, level " << level << ", " << count << " tokens";
        }
  EXPECT_GT(listed, 5000);
}
TEST(LshAttention, CodesOfSigns) {
  // Signs read as Gray code: 00, 01, 11, 10 are 0, 1, 2, 3; zero is not above zero.
  const std::vector<float> products{-1, -2, -1, 3, 1, 1, 2, -1, 0, 0.5f};
  std::vector<int16_t> codes(5);
  lsh_codes(products.data(), 5, 2, codes.data());
  EXPECT_EQ(codes, (std::vector<int16_t>{0, 1, 2, 3, 1}));
}

// The last sequence of the problem through a cache of blocks that lie anywhere, `chunk` tokens at a time.
std::vector<float> run_paged(const Problem& p, int64_t chunk, const ConstRows& q, const ConstRows& k, const ConstRows& v) {
  const LshShape& s = p.s;
  const int64_t begin = p.cu[p.cu.size() - 2], length = p.tokens - begin, blocks = (length + 15) / 16;
  const int64_t block_bytes = 16 * lsh_token_bytes(s, k.type);
  std::vector<int32_t> table;
  for (int64_t b = 0; b < blocks; ++b) table.push_back(int32_t((b * 5 + 3) % blocks));  // 7 or 19 blocks: all of them
  std::vector<char> memory(size_t(blocks * block_bytes), char(0xFF));
  std::vector<float> out(p.dout.size());
  for (int64_t fed = 0; fed < length; fed += chunk) {
    const int64_t count = std::min(chunk, length - fed);
    const PagedSequence one{begin + fed, count, fed + count, table.data()};
    lsh_attention_paged({s, q, k, v, p.q_codes.data(), p.k_codes.data(), {memory.data(), k.type, 16, block_bytes}, {out.data()}, &one, 1});
  }
  return {out.begin() + begin * s.heads * s.v_dim, out.end()};
}
std::vector<float> of_last_sequence(const Problem& p, const Result& r) {
  return {r.out.begin() + p.cu[p.cu.size() - 2] * p.s.heads * p.s.v_dim, r.out.end()};
}

// In chunks of few queries, which go one by one, and of many, which share tiles. Without bits all is one bucket that overflows.
TEST(LshAttention, PagedGivesTheBitsOfPacked) {
  std::vector<Problem> all = problems();
  LshShape one_bucket = kShape, big = kWide;
  one_bucket.bits = 0, big.heads = 2, big.head_dim = 160, big.v_dim = 145;
  all.push_back(make_problem(one_bucket, {0, 3, 100}, 0)), all.push_back(make_problem(big, {0, 110}, 2));
  for (const Problem& p : all) {
    const std::vector<float> want = of_last_sequence(p, run(p));
    for (int64_t chunk : {int64_t{1}, int64_t{4}, int64_t{13}, p.tokens})
      EXPECT_EQ(run_paged(p, chunk, {p.q.data()}, {p.k.data()}, {p.v.data()}), want) << chunk;
    for_each_isa_and_threads(
        [&](const std::string& where) { EXPECT_EQ(run_paged(p, 3, {p.q.data()}, {p.k.data()}, {p.v.data()}), want) << where; });
  }
}
TEST(LshAttention, PagedBf16IsReadAsItIs) {
  for (Problem p : problems()) {
    std::vector<uint16_t> q, k, v;
    for (auto [from, to] : {std::pair(&p.q, &q), {&p.k, &k}, {&p.v, &v}})
      for (float& x : *from) to->push_back(to_bf16(x)), x = from_bf16(to->back());
    const std::vector<float> want = of_last_sequence(p, run(p));
    for (int64_t chunk : {1, 40})
      EXPECT_EQ(run_paged(p, chunk, {q.data(), Float::kBf16}, {k.data(), Float::kBf16}, {v.data(), Float::kBf16}), want) << chunk;
  }
}

TEST(LshAttention, RefusesNonsense) {
  LshForward a{};
  a.shape = kShape;
  a.shape.bits = 16;
  EXPECT_THROW(lsh_attention_forward(a), Error);
  a.shape = kShape;
  a.shape.window = 0;
  EXPECT_THROW(lsh_attention_forward(a), Error);
  a.shape = kShape;
  const std::vector<int32_t> too_long{0, (1 << 24) + 1};
  a.cu_seqlens = too_long.data(), a.sequences = 1;
  EXPECT_THROW(lsh_attention_forward(a), Error);
}

}  // namespace
}  // namespace r1::kernels
