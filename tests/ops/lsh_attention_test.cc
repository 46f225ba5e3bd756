// Hashing attention against its definition (every query's set of keys, one by one), and what the definition promises.
#include "r1/ops/lsh_attention.h"
#include "r1/tensor/aten.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "op_test.h"

namespace r1::ops {
namespace {

constexpr int64_t kTokens = 183;
const std::vector<int32_t> kCu{0, 5, 6, 6, 63, 183};

struct Problem {
  Tensors qkv;  // fp64
  Tensor q_codes, k_codes;
  LshShape shape;
};

// Keys that lean to one side, so that buckets overflow.
Problem make_problem(const LshShape& shape, int64_t tokens, int64_t heads, int64_t kv_heads, int64_t dim) {
  Problem p;
  p.shape = shape;
  p.qkv = {randn({tokens, heads, dim}, 1), randn({tokens, kv_heads, dim}, 2) + 0.5, randn({tokens, kv_heads, dim}, 3)};
  const Tensor directions = lsh_directions(dim, shape, 7, at::kCPU);
  p.q_codes = lsh_codes(p.qkv[0], directions, shape.rounds);
  p.k_codes = lsh_codes(p.qkv[1], directions, shape.rounds);
  return p;
}

const std::vector<LshShape> kShapes{
    {.rounds = 2, .bits = 5, .bucket = 8, .window = 1},
    {.rounds = 1, .bits = 3, .bucket = 4, .window = 3},
    {.rounds = 3, .bits = 6, .bucket = 3, .window = 1},
    {.rounds = 1, .bits = 0, .bucket = 64, .window = 1},
};

TEST(LshAttention, EqualsItsDefinition) {
  const auto sequences = sequences_on(at::kCPU, kCu);
  for (const LshShape& shape : kShapes)
    for (const int64_t dim : {16, 12}) {
      const Problem p = make_problem(shape, kTokens, 4, 2, dim);
      expect_op_equals_ref(
          [&](const Tensors& t) { return lsh_attention(t[0], t[1], t[2], p.q_codes, p.k_codes, sequences, 0.3, shape); },
          [&](const Tensors& t) { return lsh_attention_ref(t[0], t[1], t[2], p.q_codes, p.k_codes, sequences, 0.3, shape); }, p.qkv,
          at::kCPU);
    }
}
TEST(LshAttention, GradientOfTheDefinition) {
  const auto sequences = sequences_on(at::kCPU, {0, 3, 15});
  const Problem p = make_problem({.rounds = 2, .bits = 3, .bucket = 2, .window = 1}, 15, 2, 1, 4);
  expect_ref_gradient([&](const Tensors& t) { return lsh_attention_ref(t[0], t[1], t[2], p.q_codes, p.k_codes, sequences, 0.7, p.shape); },
                      p.qkv);
}

TEST(LshAttention, CodesAreGrayAndNested) {
  // Two directions, the axes: going round the circle, the code moves by one (modulo 4).
  const Tensor directions = aten::tensor({0.0f, 1.0f, 1.0f, 0.0f}).view({2, 2});
  const Tensor points = aten::tensor({1.0f, -1.0f, -1.0f, -1.0f, -1.0f, 1.0f, 1.0f, 1.0f}).view({4, 1, 2});
  const Tensor codes = lsh_codes(points, directions, 1).flatten();
  std::vector<int> got;
  for (int i = 0; i < 4; ++i) got.push_back(codes[i].item<int>());
  EXPECT_EQ(got, (std::vector<int>{1, 0, 3, 2}));
  // Fewer bits are the upper bits: a longer context refines the buckets of a shorter one.
  const Tensor x = randn({50, 2, 16}, 4);
  const LshShape few{.rounds = 3, .bits = 4}, many{.rounds = 3, .bits = 9};
  const Tensor a = lsh_codes(x, lsh_directions(16, few, 5, at::kCPU), 3), b = lsh_codes(x, lsh_directions(16, many, 5, at::kCPU), 3);
  for (int64_t i = 0; i < a.numel(); ++i) ASSERT_EQ(a.data_ptr<int16_t>()[i], b.data_ptr<int16_t>()[i] >> 5) << i;
  // Lengths do not matter, directions do.
  EXPECT_TRUE(aten::equal(lsh_codes(x * 3, lsh_directions(16, many, 5, at::kCPU), 3), b));
  EXPECT_FALSE(aten::equal(lsh_codes(x, lsh_directions(16, many, 6, at::kCPU), 3), b));
}
// Many tokens are coded in parts; of any float type, as the fp32 that they are.
TEST(LshAttention, CodesAreATokensOwn) {
  const LshShape shape{.rounds = 2, .bits = 5};
  const Tensor directions = lsh_directions(8, shape, 3, at::kCPU), x = randn({2100, 3, 8}, 4).to(at::kBFloat16);
  const Tensor all = lsh_codes(x, directions, 2);
  const Tensor parts = aten::cat({lsh_codes(x.narrow(0, 0, 700), directions, 2), lsh_codes(x.narrow(0, 700, 1400), directions, 2)}, 0);
  EXPECT_TRUE(aten::equal(all, parts));
  EXPECT_TRUE(aten::equal(all, lsh_codes(x.to(at::kFloat), directions, 2)));
}
TEST(LshAttention, BitsFollowTheLongestPosition) {
  EXPECT_EQ(lsh_bits(64, 64), 0);
  EXPECT_EQ(lsh_bits(65, 64), 1);
  EXPECT_EQ(lsh_bits(65536, 64), 10);
  EXPECT_EQ(lsh_bits(int64_t{1} << 40, 64), 15);
}

TEST(LshAttention, UpToABucketItIsExact) {
  const at::NoGradGuard no_grad;
  const LshShape shape{.rounds = 2, .bits = 5, .bucket = 40, .window = 1};
  const Problem p = make_problem(shape, 40, 4, 2, 16);
  const auto sequences = sequences_on(at::kCPU, {0, 40});
  Tensors t;
  for (const Tensor& x : p.qkv) t.push_back(x.to(at::kFloat));
  EXPECT_LE(
      distance(lsh_attention(t[0], t[1], t[2], p.q_codes, p.k_codes, sequences, 0.3, shape), attention(t[0], t[1], t[2], sequences, 0.3)),
      1e-5);
}
// The more rounds, the nearer to exact attention; keys alike to queries are found first.
TEST(LshAttention, MoreRoundsComeNearer) {
  const at::NoGradGuard no_grad;
  const auto sequences = sequences_on(at::kCPU, {0, 2048});
  const Tensor q = randn({2048, 1, 16}, 1).to(at::kFloat), v = randn({2048, 1, 16}, 3).to(at::kFloat);
  const Tensor exact = attention(q, q, v, sequences, 0.5);
  double last = 1e9;
  for (const int64_t rounds : {1, 4, 16}) {
    const LshShape shape{.rounds = rounds, .bits = lsh_bits(2048, 32), .bucket = 32, .window = 1};
    const Tensor codes = lsh_codes(q, lsh_directions(16, shape, 3, at::kCPU), rounds);
    const double error = (lsh_attention(q, q, v, codes, codes, sequences, 0.5, shape) - exact).norm().item<double>();
    EXPECT_LT(error, 0.8 * last) << rounds;
    last = error;
  }
}

TEST(LshAttention, GradientsDoNotDependOnThreads) {
  const auto sequences = sequences_on(at::kCPU, kCu);
  const Problem p = make_problem(kShapes[0], kTokens, 4, 2, 16);
  const int threads = at::get_num_threads();
  const auto all = [&](int n) {
    at::set_num_threads(n);
    return run([&](const Tensors& t) { return lsh_attention(t[0], t[1], t[2], p.q_codes, p.k_codes, sequences, 0.3, p.shape); }, p.qkv,
               at::kCPU, at::kFloat, randn({kTokens, 4, 16}, 9));
  };
  const Result one = all(1), two = all(2);
  EXPECT_TRUE(aten::equal(one.out, two.out));
  for (size_t i = 0; i < one.grads.size(); ++i) EXPECT_TRUE(aten::equal(one.grads[i], two.grads[i])) << i;
  at::set_num_threads(threads);
}

// The engine's form: chunks of any size, blocks in any order, two sequences beside each other.
TEST(LshAttention, PagedGivesTheBitsOfTraining) {
  const at::NoGradGuard no_grad;
  const LshShape shape = kShapes[0];
  const Problem p = make_problem(shape, kTokens, 4, 2, 16);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    Tensors t;
    for (const Tensor& x : p.qkv) t.push_back(x.to(type));
    const Tensor want = lsh_attention(t[0], t[1], t[2], p.q_codes, p.k_codes, sequences_on(at::kCPU, {0, 100, kTokens}), 0.3, shape);
    for (const int64_t chunk : {1, 17, 64, 100}) {
      const Tensor cache = aten::full({16, paged_lsh_bytes(2, 16, shape.rounds, 16, type)}, 0xFF, at::kByte);
      Tensors first, second;
      for (int64_t fed = 0; fed < 100; fed += chunk) {
        Sequences paged{.cu_seqlens = {0}, .block_tables = {{7, 2, 9, 0, 5, 11, 1}, {3, 10, 8, 15, 4, 13}}};
        std::vector<int32_t>& cu = paged.cu_seqlens;
        std::vector<std::pair<int64_t, int64_t>> rows;
        for (const auto& [begin, length] : std::vector<std::pair<int64_t, int64_t>>{{0, 100}, {100, kTokens - 100}}) {
          const int64_t from = std::min(fed, length), count = std::min(chunk, length - from);
          paged.context_lens.push_back(int32_t(from));
          cu.push_back(int32_t(cu.back() + count));
          rows.push_back({begin + from, count});
        }
        const auto part = [&](const Tensor& x) {
          return aten::cat({x.narrow(0, rows[0].first, rows[0].second), x.narrow(0, rows[1].first, rows[1].second)}, 0);
        };
        const auto sequences = sequences_on(at::kCPU, paged);
        const Tensor out =
            paged_lsh_attention(part(t[0]), part(t[1]), part(t[2]), part(p.q_codes), part(p.k_codes), cache, sequences, 0.3, shape);
        first.push_back(out.narrow(0, 0, cu[1]));
        second.push_back(out.narrow(0, cu[1], cu[2] - cu[1]));
      }
      const Tensor got = aten::cat({aten::cat(first, 0), aten::cat(second, 0)}, 0);
      if (type == at::kDouble) {
        EXPECT_LE(distance(got, want), 1e-12) << chunk;
      } else {
        EXPECT_TRUE(aten::equal(got, want)) << type << " chunk " << chunk;
      }
    }
  }
}

TEST(LshAttention, SaysWhatItExpected) {
  const auto one = sequences_on(at::kCPU, {0, 1});
  const Tensor x = aten::zeros({1, 2, 8}), codes = aten::zeros({1, 2, 4}, at::kShort);
  EXPECT_THROW(lsh_attention(x, x, x, codes, aten::zeros({1, 2, 3}, at::kShort), one, 1, {}), Error);
  EXPECT_THROW(lsh_attention(x, x, x, codes.to(at::kInt), codes, one, 1, {}), Error);
  EXPECT_THROW(lsh_attention(x, x, x, codes, codes, one, 1, {.bits = 16}), Error);
  EXPECT_THROW(lsh_codes(x, aten::zeros({5, 8}), 2), Error);
  EXPECT_THROW(paged_lsh_attention(x, x, x, codes, codes, aten::zeros({1, 7}, at::kByte), one, 1, {}), Error);
}

}  // namespace
}  // namespace r1::ops
