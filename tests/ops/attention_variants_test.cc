// Blockwise, hybrid and segment attention against their definitions, the definitions against finite differences, and the engine's form
// against the training form.
#include <ATen/Parallel.h>

#include <algorithm>

#include "op_test.h"
#include "r1/ops/attention_impl.h"
#include "r1/ops/blockwise_attention.h"
#include "r1/ops/hybrid_attention.h"
#include "r1/ops/segment_attention.h"
#include "r1/tensor/aten.h"

namespace r1::ops {
namespace {

constexpr int64_t kTokens = 151;
const std::vector<int32_t> kCu{0, 5, 6, 6, 83, 151};

Tensors heads(int64_t tokens, int64_t n, int64_t k, int64_t dim) {
  return {randn({tokens, n, dim}, 1), randn({tokens, k, dim}, 2), randn({tokens, k, dim}, 3)};
}

// ---- blockwise

TEST(BlockwiseAttention, EqualsItsDefinition) {
  const auto sequences = sequences_on(at::kCPU, kCu);
  for (const int64_t block : {7, 64, 1000})
    expect_op_equals_ref([&](const Tensors& t) { return blockwise_attention(t[0], t[1], t[2], sequences, 0.3, block); },
                         [&](const Tensors& t) { return blockwise_attention_ref(t[0], t[1], t[2], sequences, 0.3, block); },
                         heads(kTokens, 4, 2, 16), at::kCPU);
}
TEST(BlockwiseAttention, HasTheBitsOfFullAttention) {
  const at::NoGradGuard no_grad;
  const auto sequences = sequences_on(at::kCPU, kCu);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Tensors t = heads(kTokens, 6, 3, 16);
    for (Tensor& x : t) x = x.to(type);
    const Tensor want = attention(t[0], t[1], t[2], sequences, 0.3);
    for (const int64_t block : {1, 13, 64})
      EXPECT_TRUE(aten::equal(blockwise_attention(t[0], t[1], t[2], sequences, 0.3, block), want)) << block;
  }
}
TEST(BlockwiseAttention, GradientOfTheDefinition) {
  const auto sequences = sequences_on(at::kCPU, {0, 2, 9});
  expect_ref_gradient([&](const Tensors& t) { return blockwise_attention_ref(t[0], t[1], t[2], sequences, 0.7, 3); }, heads(9, 2, 1, 4));
}
// Block by block, the gradients of attention: its bits where the CPU has kernels, near elsewhere.
TEST(BlockwiseAttention, BlocksAddUpToTheGradientsOfFullAttention) {
  const auto sequences = sequences_on(at::kCPU, kCu);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    Tensors t = heads(kTokens, 6, 3, 16);
    for (Tensor& x : t) x = x.to(type).requires_grad_();
    const Tensor dout = randn({kTokens, 6, 16}, 4).to(type);
    const Tensors want = gradients({attention(t[0], t[1], t[2], sequences, 0.3)}, {dout}, t);
    const auto sum_type = type == at::kDouble ? at::kDouble : at::kFloat;
    for (const int64_t block : {13, 64, 1000}) {
      const Tensor dq = aten::full_like(want[0], 7), dk = aten::zeros_like(want[1], sum_type), dv = aten::zeros_like(want[2], sum_type);
      for_each_block(kTokens, block, [&](int64_t begin, int64_t end) {
        const QueryChunk chunk = chunk_of(sequences, begin, end, at::kCPU);
        const auto seen = [&](const Tensor& x) { return x.detach().narrow(0, chunk.k_begin, end - chunk.k_begin); };
        const Tensor q = t[0].detach().narrow(0, begin, end - begin);
        const auto dout_of = [&](const Tensor& out) {
          EXPECT_EQ(out.sizes(), q.sizes());
          return dout.narrow(0, begin, end - begin);
        };
        dq.narrow(0, begin, end - begin)
            .copy_(block_gradients(q, seen(t[1]), seen(t[2]), chunk.sequences, 0.3, dout_of, seen(dk), seen(dv)));
      });
      const Tensors got{dq, dk, dv};
      for (size_t i = 0; i < 3; ++i) {
        if (type == at::kFloat)
          EXPECT_TRUE(aten::equal(got[i], want[i])) << block << " " << i;
        else
          EXPECT_LE((got[i] - want[i]).abs().max().item<double>(),
                    (type == at::kDouble ? 1e-12 : 1e-2) * want[i].abs().max().item<double>())
              << type << " " << block << " " << i;
      }
    }
  }
  const Tensor x = randn({4, 1, 8}, 1);
  EXPECT_THROW(block_gradients(
                   x, x, x, sequences_on(at::kCPU, {0, 4}), 1, [](const Tensor& out) { return out; }, x, randn({3, 1, 8}, 1)),
               Error);
}
TEST(BlockwiseAttention, ChunksKnowTheirKeys) {
  const auto sequences = sequences_on(at::kCPU, {0, 5, 6, 6, 83});
  const QueryChunk inside = chunk_of(sequences, 10, 20, at::kCPU), across = chunk_of(sequences, 3, 8, at::kCPU);
  EXPECT_EQ(inside.k_begin, 6);
  EXPECT_EQ(inside.sequences.cu_seqlens, (std::vector<int32_t>{0, 10}));
  EXPECT_EQ(inside.sequences.cu_keylens, (std::vector<int32_t>{0, 14}));
  EXPECT_EQ(across.k_begin, 0);
  EXPECT_EQ(across.sequences.cu_seqlens, (std::vector<int32_t>{0, 2, 3, 5}));
  EXPECT_EQ(across.sequences.cu_keylens, (std::vector<int32_t>{0, 5, 6, 8}));
  EXPECT_THROW(chunk_of(sequences, 3, 3, at::kCPU), Error);
  EXPECT_THROW(blockwise_attention(randn({2, 1, 2}, 1), randn({2, 1, 2}, 1), randn({2, 1, 2}, 1), sequences_on(at::kCPU, {0, 2}), 1, 0),
               Error);
}

// ---- hybrid

Tensors gated(int64_t tokens, int64_t n, int64_t k, int64_t dim) {
  Tensors t = heads(tokens, n, k, dim);
  t.push_back(2 * randn({tokens, 1}, 4));
  return t;
}

TEST(HybridAttention, EqualsItsDefinition) {
  const auto sequences = sequences_on(at::kCPU, kCu);
  for (const Window& window : std::vector<Window>{5, {8, 20}})
    expect_op_equals_ref([&](const Tensors& t) { return hybrid_attention(t[0], t[1], t[2], t[3], sequences, 0.3, window); },
                         [&](const Tensors& t) { return hybrid_attention_ref(t[0], t[1], t[2], t[3], sequences, 0.3, window); },
                         gated(kTokens, 4, 2, 16), at::kCPU);
}
TEST(HybridAttention, GradientOfTheDefinition) {
  const auto sequences = sequences_on(at::kCPU, {0, 2, 12});
  expect_ref_gradient([&](const Tensors& t) { return hybrid_attention_ref(t[0], t[1], t[2], t[3], sequences, 0.7, Window(1, 2)); },
                      gated(12, 2, 1, 4));
}
TEST(HybridAttention, AGateAtItsEndsIsOneOfTheTwo) {
  const at::NoGradGuard no_grad;
  const auto sequences = sequences_on(at::kCPU, kCu);
  Tensors t = heads(kTokens, 2, 2, 8);
  for (Tensor& x : t) x = x.to(at::kFloat);
  const Tensor local = hybrid_attention(t[0], t[1], t[2], aten::full({kTokens, 1}, 200.0f), sequences, 0.3, 4);
  const Tensor global = hybrid_attention(t[0], t[1], t[2], aten::full({kTokens, 1}, -200.0f), sequences, 0.3, 4);
  EXPECT_LE(distance(local, attention(t[0], t[1], t[2], sequences, 0.3, 4)), 1e-6);
  EXPECT_TRUE(aten::equal(global, attention(t[0], t[1], t[2], sequences, 0.3)));
}
TEST(HybridAttention, TheWindowGrowsWithThePosition) {
  const Window window(256, 4096);
  EXPECT_EQ(window.at(0), 256);
  EXPECT_EQ(window.at(1026), 256);
  EXPECT_EQ(window.at(1027), 257);
  EXPECT_EQ(window.at(16383), 4096);
  EXPECT_EQ(window.at(100000), 4096);
}
TEST(HybridAttention, SaysWhatItExpected) {
  const auto one = sequences_on(at::kCPU, {0, 1});
  const Tensor x = aten::zeros({1, 2, 8});
  EXPECT_THROW(hybrid_attention(x, x, x, aten::zeros({1, 2}), one, 1, 4), Error);
  EXPECT_THROW(hybrid_attention(x, x, x, aten::zeros({1, 1}), one, 1, 0), Error);
}

// ---- segments

Tensors biased(int64_t tokens, int64_t n, int64_t k, int64_t dim, int64_t w) {
  Tensors t = heads(tokens, n, k, dim);
  t.push_back(randn({n, 2 * w - 1}, 4));
  return t;
}

TEST(SegmentAttention, EqualsItsDefinition) {
  const auto sequences = sequences_on(at::kCPU, kCu);
  for (const int64_t w : {2, 5, 16, 30, 64, 100})
    expect_op_equals_ref([&](const Tensors& t) { return segment_attention(t[0], t[1], t[2], t[3], sequences, 0.3); },
                         [&](const Tensors& t) { return segment_attention_ref(t[0], t[1], t[2], t[3], sequences, 0.3); },
                         biased(kTokens, 4, 2, 16, w), at::kCPU);
}
// Central differences see through "constant", so the definition's gradient is taken where there is no memory, and where there is, for what
// is not in it.
TEST(SegmentAttention, GradientOfTheDefinition) {
  const auto one = sequences_on(at::kCPU, {0, 2, 7});
  expect_ref_gradient([&](const Tensors& t) { return segment_attention_ref(t[0], t[1], t[2], t[3], one, 0.7); }, biased(7, 2, 1, 4, 6));
  const auto two = sequences_on(at::kCPU, {0, 7});
  const Tensors all = biased(7, 2, 1, 4, 4), constant = all;
  expect_ref_gradient([&](const Tensors& t) { return segment_attention_ref(t[0], constant[1], constant[2], t[1], two, 0.7); },
                      {all[0], all[3]});
  // Queries of the second segment, keys and values of it: the first three are given.
  const auto tail = [&](const Tensor& memory, const Tensor& own) { return aten::cat({memory.narrow(0, 0, 4), own}, 0); };
  expect_ref_gradient(
      [&](const Tensors& t) {
        return segment_attention_ref(constant[0], tail(constant[1], t[0]), tail(constant[2], t[1]), constant[3], two, 0.7).narrow(0, 4, 3);
      },
      {all[1].narrow(0, 4, 3).contiguous(), all[2].narrow(0, 4, 3).contiguous()});
}
TEST(SegmentAttention, TheMemoryIsSeenAndIsConstant) {
  const auto sequences = sequences_on(at::kCPU, {0, 12});
  Tensors t = biased(12, 1, 1, 4, 4);
  for (Tensor& x : t) x = x.to(at::kFloat).requires_grad_();
  const Tensor out = segment_attention(t[0], t[1], t[2], t[3], sequences, 0.5);
  const Tensor dv = gradients({out.narrow(0, 8, 4)}, {aten::ones_like(out.narrow(0, 8, 4))}, {t[2]})[0];
  EXPECT_EQ(dv.narrow(0, 0, 8).abs().max().item<float>(), 0);
  EXPECT_GT(dv.narrow(0, 8, 4).abs().min().item<float>(), 0);
  const at::NoGradGuard no_grad;
  for (const auto& [token, seen] : std::vector<std::pair<int64_t, bool>>{{0, false}, {4, false}, {5, true}, {7, true}}) {
    Tensor v = t[2].clone();
    v[token].add_(1);
    const Tensor moved = segment_attention(t[0], t[1], v, t[3], sequences, 0.5);
    EXPECT_EQ(aten::equal(moved.narrow(0, 8, 4), out.narrow(0, 8, 4)), !seen) << token;
  }
}
TEST(SegmentAttention, GradientsDoNotDependOnThreads) {
  const auto sequences = sequences_on(at::kCPU, kCu);
  const int threads = at::get_num_threads();
  const auto all = [&](int n) {
    at::set_num_threads(n);
    return run([&](const Tensors& t) { return segment_attention(t[0], t[1], t[2], t[3], sequences, 0.3); }, biased(kTokens, 4, 2, 16, 30),
               at::kCPU, at::kFloat, randn({kTokens, 4, 16}, 9));
  };
  const Result one = all(1);
  for (const int n : {2, 3}) {
    const Result more = all(n);
    for (size_t i = 0; i < one.grads.size(); ++i) EXPECT_TRUE(aten::equal(one.grads[i], more.grads[i])) << i << " threads " << n;
  }
  at::set_num_threads(threads);
}
TEST(SegmentAttention, SaysWhatItExpected) {
  const auto one = sequences_on(at::kCPU, {0, 1});
  const Tensor x = aten::zeros({1, 2, 8});
  EXPECT_THROW(segment_attention(x, x, x, aten::zeros({2, 4}), one, 1), Error);
  EXPECT_THROW(segment_attention(x, x, x, aten::zeros({1, 5}), one, 1), Error);
}

// ---- the engine's form: one sequence fed in chunks, blocks in any order

using Paged = std::function<Tensor(const Tensors&, const Tensor& cache, const Sequences&)>;

Tensor feed(const Paged& op, const Tensors& all, int64_t chunk, at::ScalarType type) {
  const int64_t tokens = all[0].size(0), kv_heads = all[1].size(1), dim = all[1].size(2);
  const Tensor cache = aten::full({12, paged_attention_bytes(kv_heads, dim, 16, at::kCPU, type)}, 0xFF, at::kByte);
  Tensors out;
  for (int64_t fed = 0; fed < tokens; fed += chunk) {
    const int64_t count = std::min(chunk, tokens - fed);
    const Sequences given{
        .cu_seqlens = {0, int32_t(count)}, .context_lens = {int32_t(fed)}, .block_tables = {{7, 2, 9, 0, 5, 11, 1, 3, 10, 8}}};
    Tensors part;
    for (const Tensor& t : all) part.push_back(t.size(0) == tokens ? t.narrow(0, fed, count).to(type) : t.to(type));
    out.push_back(op(part, cache, sequences_on(at::kCPU, given)));
  }
  return aten::cat(out, 0);
}

void test_paged(const Paged& op, const Op& training, const Tensors& inputs) {
  const at::NoGradGuard no_grad;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    Tensors typed;
    for (const Tensor& t : inputs) typed.push_back(t.to(type));
    const Tensor want = training(typed);
    for (const int64_t chunk : {1, 17, 64, 151}) {
      const Tensor got = feed(op, inputs, chunk, type);
      if (type == at::kDouble) {
        EXPECT_LE(distance(got, want), 1e-12) << chunk;
      } else {
        EXPECT_TRUE(aten::equal(got, want)) << type << " chunk " << chunk;
      }
    }
  }
}

TEST(HybridAttention, PagedGivesTheBitsOfTraining) {
  const auto whole = sequences_on(at::kCPU, {0, kTokens});
  const Window window(8, 20);
  test_paged([&](const Tensors& t, const Tensor& cache,
                 const Sequences& s) { return paged_hybrid_attention(t[0], t[1], t[2], t[3], cache, s, 0.3, window); },
             [&](const Tensors& t) { return hybrid_attention(t[0], t[1], t[2], t[3], whole, 0.3, window); }, gated(kTokens, 4, 2, 16));
}
TEST(SegmentAttention, PagedGivesTheBitsOfTraining) {
  const auto whole = sequences_on(at::kCPU, {0, kTokens});
  test_paged([&](const Tensors& t, const Tensor& cache,
                 const Sequences& s) { return paged_segment_attention(t[0], t[1], t[2], t[3], cache, s, 0.3); },
             [&](const Tensors& t) { return segment_attention(t[0], t[1], t[2], t[3], whole, 0.3); }, biased(kTokens, 4, 2, 16, 30));
}

}  // namespace
}  // namespace r1::ops
