#include "r1/ops/attention.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <numeric>

#include "op_test.h"
#include "r1/ops/attention_impl.h"
#include "r1/tensor/aten.h"

namespace r1::ops {
namespace {

struct Shape {
  int64_t heads, kv_heads, dim;
};
const std::vector<Shape> kShapes{{4, 2, 16}, {6, 1, 8}, {3, 3, 64}, {2, 2, 12}};
const std::vector<Window> kWindows{2, 16, 17, 63, 64, 65, {4, 15}};  // edges of tiles and steps of keys; one that grows

void test_attention(at::Device device, const Window& window = {}) {
  for (const Shape& s : kShapes) {
    if (device.is_cuda() && s.dim % 8 != 0) continue;
    const auto sequences = sequences_on(device, {0, 5, 6, 6, 83});  // one of a single token, one empty
    expect_op_equals_ref([&](const Tensors& t) { return attention(t[0], t[1], t[2], sequences, 0.3, window); },
                         [&](const Tensors& t) { return attention_ref(t[0], t[1], t[2], sequences, 0.3, window); },
                         {randn({83, s.heads, s.dim}, 1), randn({83, s.kv_heads, s.dim}, 2), randn({83, s.kv_heads, s.dim}, 3)}, device);
  }
}
TEST(Attention, EqualsItsDefinition) {
  test_attention(at::kCPU);
}
TEST(Attention, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_attention(at::kCUDA);
}
TEST(Attention, WindowEqualsItsDefinition) {
  for (const Window& window : kWindows) test_attention(at::kCPU, window);
}
TEST(Attention, WindowEqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  for (const Window& window : kWindows) test_attention(at::kCUDA, window);
}
TEST(Attention, GradientOfTheDefinition) {
  const auto sequences = sequences_on(at::kCPU, {0, 2, 11});
  for (const Window& window : std::vector<Window>{0, 1, 3, {1, 2}})
    expect_ref_gradient([&](const Tensors& t) { return attention_ref(t[0], t[1], t[2], sequences, 0.7, window); },
                        {randn({11, 2, 4}, 1), randn({11, 1, 4}, 2), randn({11, 1, 4}, 3)});
}
// A window of one token: the softmax is 1, whatever the scores, which get no gradient.
TEST(Attention, WindowOfOneIsTheValueItself) {
  const Tensor q = randn({90, 2, 8}, 1).to(at::kFloat).requires_grad_(), v = randn({90, 2, 8}, 2).to(at::kFloat);
  const Tensor out = attention(q, q, v, sequences_on(at::kCPU, {0, 90}), 0.3, 1);
  EXPECT_TRUE(aten::equal(out, v));
  EXPECT_LE(gradients({out}, {randn({90, 2, 8}, 3).to(at::kFloat)}, {q})[0].abs().max().item<float>(), 1e-5);
}
// What a query does not see has no bearing on its bits, and what sees a key alone moves its gradient.
TEST(Attention, WindowByHand) {
  const Tensor q = aten::ones({4, 1, 2}), k = aten::tensor({5.f, 5.f, 1.f, 0.f, 0.f, 0.f, 1.f, 0.f}).view({4, 1, 2});
  const Tensor v = aten::tensor({100.f, 100.f, 1.f, 0.f, 0.f, 1.f, 0.f, 0.f}).view({4, 1, 2}).requires_grad_();
  const Tensor out = attention(q, k, v, sequences_on(at::kCPU, {0, 4}), 1.0, 2);
  EXPECT_NEAR(out[2][0][0].item<double>(), 1 / (1 + std::exp(-1.0)), 1e-6);  // tokens 1 and 2: the loud token 0 is out of sight
  EXPECT_NEAR(out[2][0][1].item<double>(), 1 / (1 + std::exp(1.0)), 1e-6);
  EXPECT_NEAR(out[3][0][1].item<double>(), 1 / (1 + std::exp(1.0)), 1e-6);
  const Tensor dv = gradients({out.narrow(0, 2, 2)}, {aten::ones({2, 1, 2})}, {v})[0];
  EXPECT_EQ(dv[0].abs().max().item<float>(), 0);
  EXPECT_GT(dv[1].abs().max().item<float>(), 0);
}
TEST(Attention, ByHand) {
  // Two tokens, one head of size 2: the first sees itself; the second weighs both by softmax.
  const Tensor q = aten::tensor({1.0f, 0.0f, 1.0f, 0.0f}).view({2, 1, 2}), k = aten::tensor({1.0f, 0.0f, 3.0f, 0.0f}).view({2, 1, 2});
  const Tensor v = aten::tensor({1.0f, 0.0f, 0.0f, 1.0f}).view({2, 1, 2});
  const Tensor out = attention(q, k, v, sequences_on(at::kCPU, {0, 2}), 1.0);
  EXPECT_EQ(out[0][0][0].item<float>(), 1.0f);
  EXPECT_NEAR(out[1][0][0].item<double>(), 1 / (1 + std::exp(2.0)), 1e-6);
  EXPECT_NEAR(out[1][0][1].item<double>(), 1 / (1 + std::exp(-2.0)), 1e-6);
}

// A request that is fed in chunks, with blocks in any order; returns its rows. `others` are decoded beside it.
struct Request {
  Tensor q, k, v;  // all its tokens
  std::vector<int32_t> blocks;
  int64_t fed = 0;
};

Tensor step(std::vector<Request*> requests, const std::vector<int64_t>& counts, const Tensor& cache, int32_t block_size, at::Device device,
            const Window& window) {
  Sequences paged{.cu_seqlens = {0}, .block_size = block_size};
  Tensors q, k, v;
  for (size_t i = 0; i < requests.size(); ++i) {
    Request& r = *requests[i];
    q.push_back(r.q.narrow(0, r.fed, counts[i]));
    k.push_back(r.k.narrow(0, r.fed, counts[i]));
    v.push_back(r.v.narrow(0, r.fed, counts[i]));
    paged.context_lens.push_back(int32_t(r.fed));
    paged.block_tables.push_back(r.blocks);
    paged.cu_seqlens.push_back(int32_t(paged.cu_seqlens.back() + counts[i]));
    r.fed += counts[i];
  }
  const auto sequences = sequences_on(device, paged);
  return paged_attention(aten::cat(q, 0), aten::cat(k, 0), aten::cat(v, 0), cache, sequences, 0.25, window);
}

Request new_request(int64_t tokens, const Shape& s, uint64_t seed, at::Device device, at::ScalarType type, std::vector<int32_t> blocks) {
  return {randn({tokens, s.heads, s.dim}, seed).to(device, type), randn({tokens, s.kv_heads, s.dim}, seed + 1).to(device, type),
          randn({tokens, s.kv_heads, s.dim}, seed + 2).to(device, type), std::move(blocks)};
}

void test_paged(at::Device device, at::ScalarType type, bool bitwise, const Window& window = {}) {
  const c10::NoGradGuard no_grad;
  const int threads = at::get_num_threads();
  for (const Shape& s : kShapes) {
    if (device.is_cuda() && s.dim % 8 != 0) continue;
    for (const int64_t chunk : {1, 3, 16, 17, 64, 90}) {
      at::set_num_threads(chunk % 2 ? 1 : 2);
      Request a = new_request(90, s, 10, device, type, {7, 2, 9, 0, 5, 11}), b = new_request(40, s, 20, device, type, {1, 3, 12});
      const Tensor cache =
          aten::zeros({13, paged_attention_bytes(s.kv_heads, s.dim, 16, device, type)}, at::TensorOptions().dtype(at::kByte).device(device))
              .fill_(0xFF);
      Tensors rows_a, rows_b;
      while (a.fed < 90 || b.fed < 40) {
        std::vector<Request*> now;
        std::vector<int64_t> counts;
        const int64_t at_a = std::min<int64_t>(chunk, 90 - a.fed), at_b = std::min<int64_t>(5, 40 - b.fed);
        if (at_b > 0) now.push_back(&b), counts.push_back(at_b);
        if (at_a > 0) now.push_back(&a), counts.push_back(at_a);
        const Tensor out = step(now, counts, cache, 16, device, window);
        if (at_b > 0) rows_b.push_back(out.narrow(0, 0, at_b));
        if (at_a > 0) rows_a.push_back(out.narrow(0, at_b, at_a));
      }
      const auto whole = sequences_on(device, {0, 90, 130});
      const Tensor want = attention(aten::cat({a.q, b.q}, 0), aten::cat({a.k, b.k}, 0), aten::cat({a.v, b.v}, 0), whole, 0.25, window);
      const Tensor got = aten::cat({aten::cat(rows_a, 0), aten::cat(rows_b, 0)}, 0);
      if (bitwise) {
        EXPECT_TRUE(aten::equal(got, want)) << "chunk " << chunk << ", heads " << s.heads;
      } else {
        EXPECT_LE(distance(got, want), type == at::kFloat ? 2e-5 : 2e-2) << "chunk " << chunk << ", heads " << s.heads;
      }
    }
  }
  at::set_num_threads(threads);
}
TEST(PagedAttention, ChunksAndBatchesGiveTheBitsOfTraining) {
  test_paged(at::kCPU, at::kFloat, true);
  test_paged(at::kCPU, at::kBFloat16, true);
}
TEST(PagedAttention, WindowGivesTheBitsOfTraining) {
  for (const Window& window : {Window(16), Window(33), Window(4, 15)}) test_paged(at::kCPU, at::kFloat, true, window);
  test_paged(at::kCPU, at::kBFloat16, true, 20);
}
TEST(PagedAttention, ChunksAndBatchesEqualTrainingCuda) {
  SKIP_WITHOUT_CUDA();
  test_paged(at::kCUDA, at::kFloat, false);
  test_paged(at::kCUDA, at::kBFloat16, false);
  for (const Window& window : {Window(33), Window(4, 15)}) {
    test_paged(at::kCUDA, at::kFloat, false, window);
    test_paged(at::kCUDA, at::kBFloat16, false, window);
  }
}
// fp64 runs the definition: plain layout, gathered keys.
TEST(PagedAttention, DefinitionEqualsTheTrainingForm) {
  test_paged(at::kCPU, at::kDouble, false);
}

// The CUDA form's bookkeeping (slots, gathering, padded queries), run on the CPU in fp64 against the definition; one cache for both.
TEST(PagedAttention, CudaFormEqualsTheDefinitionOnTheCpu) {
  const c10::NoGradGuard no_grad;
  const Sequences sequences = sequences_on(
      at::kCPU, {.cu_seqlens = {0, 1, 13, 15, 16}, .context_lens = {20, 0, 16, 5}, .block_tables = {{4, 0, 7}, {2}, {6, 1}, {3}}});
  const Tensor q = randn({16, 4, 8}, 1), k = randn({16, 2, 8}, 2), v = randn({16, 2, 8}, 3);
  const Tensor start = randn({8, 2 * 16 * 2 * 8}, 4).view(at::kByte), ours = start.clone(), theirs = start.clone();
  for (const Window& window : std::vector<Window>{{}, 3, {2, 6}}) {
    const Tensor got = paged_attention_cuda(q, k, v, ours, sequences, 0.3, window);
    EXPECT_LE(distance(got, paged_attention_ref(q, k, v, theirs, sequences, 0.3, window)), 1e-12);
  }
  EXPECT_TRUE(aten::equal(ours, theirs));
  EXPECT_FALSE(aten::equal(ours, start));
}

TEST(PagedAttention, SaysWhatItExpected) {
  const c10::NoGradGuard no_grad;
  Sequences paged{.cu_seqlens = {0, 1}, .context_lens = {16}, .block_tables = {{0}}};
  try {
    sequences_on(at::kCPU, paged);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "[paged_attention] expected blocks for 17 tokens of sequence 0, got 1 of 16");
  }
  paged.block_tables = {{0, 3}};
  const auto far = sequences_on(at::kCPU, paged);
  const Tensor one = aten::zeros({1, 2, 8}), cache = aten::zeros({3, paged_attention_bytes(2, 8, 16, at::kCPU, at::kFloat)}, at::kByte);
  try {
    paged_attention(one, one, one, cache, far, 1);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "[paged_attention] expected block ids below 3, got 3");
  }
  EXPECT_THROW(paged_attention(one, one, one, aten::zeros({4, 7}, at::kByte), far, 1), Error);
  paged.block_tables = {{0, -1}};
  EXPECT_THROW(sequences_on(at::kCPU, paged), Error);
  EXPECT_THROW(sequences_on(at::kCPU, {0, 3, 2}), Error);
  EXPECT_THROW(attention(aten::zeros({2, 3, 4}), aten::zeros({2, 2, 4}), aten::zeros({2, 2, 4}), sequences_on(at::kCPU, {0, 2}), 1), Error);
  EXPECT_THROW(paged_attention_bytes(2, 8, 15, at::kCPU, at::kFloat), Error);
  EXPECT_THROW(attention(one, one, one, sequences_on(at::kCPU, {0, 1}), 1, Window(0, 8)), Error);
}

}  // namespace
}  // namespace r1::ops
