// The promise of the bits: one result on every instruction set and number of threads, packed and paged, and the selection of keys by hand.
// Against the definition: tests/ops/lsh_attention_test.cc.
#include "r1/kernels/cpu/lsh_attention.h"

#include <gtest/gtest.h>

#include "r1/kernels/cpu/lsh_buckets.h"
#include "tests/kernels/kernel_testing.h"

namespace r1::kernels {
namespace {

constexpr int64_t kTokens = 150;
const LshShape kShape{
    .heads = 4, .kv_heads = 2, .head_dim = 20, .v_dim = 12, .scale = 0.3f, .rounds = 2, .bits = 6, .bucket = 5, .window = 2};

struct Problem {
  std::vector<float> q, k, v, dout;
  std::vector<int16_t> q_codes, k_codes;
  std::vector<int32_t> cu{0, 40, 41, 150};
};

Problem make_problem() {
  const LshShape& s = kShape;
  Problem p;
  p.q = random_floats(kTokens * s.heads * s.head_dim, 1), p.k = random_floats(kTokens * s.kv_heads * s.head_dim, 2);
  p.v = random_floats(kTokens * s.kv_heads * s.v_dim, 3), p.dout = random_floats(kTokens * s.heads * s.v_dim, 4);
  for (int64_t i = 0; i < kTokens * s.heads * s.rounds; ++i) p.q_codes.push_back(int16_t(random_bits(5, 1, uint64_t(i)) % 64));
  for (int64_t i = 0; i < kTokens * s.kv_heads * s.rounds; ++i) p.k_codes.push_back(int16_t(random_bits(5, 2, uint64_t(i)) % 64));
  return p;
}

struct Result {
  std::vector<float> out, lse, dq, dk, dv;
  bool operator==(const Result&) const = default;
};

Result run(const Problem& p) {
  const LshShape& s = kShape;
  Result r{std::vector<float>(kTokens * s.heads * s.v_dim), std::vector<float>(kTokens * s.heads), std::vector<float>(p.q.size()),
           std::vector<float>(p.k.size()), std::vector<float>(p.v.size())};
  lsh_attention_forward(
      {s, {p.q.data()}, {p.k.data()}, {p.v.data()}, p.q_codes.data(), p.k_codes.data(), {r.out.data()}, r.lse.data(), p.cu.data(), 3});
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
                          3});
  return r;
}

TEST(LshAttention, SameBitsOnEverySetAndThreadCount) {
  const Problem p = make_problem();
  const Result first = run(p);
  for (float x : first.dk) ASSERT_TRUE(x == x);
  for_each_isa_and_threads([&](const std::string& where) { EXPECT_TRUE(run(p) == first) << where; });
}

TEST(LshAttention, SelectsByHand) {
  // One round, codes of 2 bits, buckets of 2 tokens: tokens 0 and 1 share one bucket, 2 and 3 have two, from 4 on there are four.
  const std::vector<int16_t> codes{0, 3, 1, 0, 0, 2, 0, 0, 0, 0, 0};
  LshBuckets buckets(1, 2, 2, codes.data(), int64_t(codes.size()));
  std::vector<int32_t> keys;
  const auto select = [&](int64_t position, int16_t code) {
    buckets.advance(position);
    buckets.select(&code, 1, keys);
    return keys;
  };
  EXPECT_EQ(select(0, 2), (std::vector<int32_t>{0}));
  EXPECT_EQ(select(1, 0), (std::vector<int32_t>{1, 0}));
  EXPECT_EQ(select(3, 0), (std::vector<int32_t>{3, 2, 0, 1}));          // upper bit: {0, 2, 3} and the neighbour {1}
  EXPECT_EQ(select(5, 1), (std::vector<int32_t>{5, 2, 4, 3}));          // own {2}; below {0, 3, 4}, the last two; above {5}
  EXPECT_EQ(select(5, 2), (std::vector<int32_t>{5, 2, 1}));             // own {5}, below {2}, above {1}
  EXPECT_EQ(select(10, 0), (std::vector<int32_t>{10, 9, 8, 7, 1, 2}));  // own: the last four of eight
}

TEST(LshAttention, PagedGivesTheBitsOfPacked) {
  const Problem p = make_problem();
  const Result want = run(p);
  const LshShape& s = kShape;
  const std::vector<int32_t> blocks{3, 0, 6, 1, 5, 2, 4};
  for (int64_t chunk : {1, 13, 109}) {
    std::vector<char> memory(size_t(7 * 16 * lsh_token_bytes(s, Float::kF32)), char(0xFF));
    std::vector<float> out(109 * size_t(s.heads * s.v_dim));
    for (int64_t fed = 0; fed < 109; fed += chunk) {
      const int64_t count = std::min(chunk, 109 - fed);
      const PagedSequence q{41 + fed, count, fed + count, blocks.data()};
      std::vector<float> all(want.out.size());
      lsh_attention_paged({s,
                           {p.q.data()},
                           {p.k.data()},
                           {p.v.data()},
                           p.q_codes.data(),
                           p.k_codes.data(),
                           {memory.data(), Float::kF32, 16, 16 * lsh_token_bytes(s, Float::kF32)},
                           {all.data()},
                           &q,
                           1});
      std::copy_n(&all[size_t((41 + fed) * s.heads * s.v_dim)], count * s.heads * s.v_dim, &out[size_t(fed * s.heads * s.v_dim)]);
    }
    EXPECT_TRUE(std::equal(out.begin(), out.end(), &want.out[41 * size_t(s.heads * s.v_dim)])) << chunk;
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
}

}  // namespace
}  // namespace r1::kernels
