// Attention over cached latents: each form against its definition and against the other, and what it promises of the bits.
#include "r1/ops/mla_attention.h"

#include <ATen/Parallel.h>

#include <tuple>

#include "op_test.h"
#include "r1/ops/head_product.h"
#include "r1/tensor/aten.h"

namespace r1::ops {
namespace {

constexpr int64_t kHeads = 3, kLatent = 24, kRope = 8, kNope = 10, kValue = 14, kWidth = kLatent + kRope;
constexpr double kScale = 0.2;

// What a layer has: rows to cache, queries, and the up-projection of each head.
struct Layer {
  Tensor latent_TW, q_TNH, w_k_NCR, w_v_NRV;

  Layer(int64_t tokens, at::Device device, at::ScalarType type) {
    const auto made = [&](at::IntArrayRef shape, uint64_t seed) { return randn(shape, seed).to(device, type); };
    latent_TW = made({tokens, kWidth}, 1), q_TNH = made({tokens, kHeads, kNope + kRope}, 2);
    w_k_NCR = made({kHeads, kNope, kLatent}, 3) * 0.3, w_v_NRV = made({kHeads, kLatent, kValue}, 4) * 0.3;
  }
  ExpandLatents expand() const {
    return [this](const Tensor& latent_LW) -> std::pair<Tensor, Tensor> {
      const Tensor c_NLR = latent_LW.narrow(1, 0, kLatent).unsqueeze(0);
      const Tensor k_LNC = c_NLR.matmul(w_k_NCR.transpose(1, 2)).transpose(0, 1), v_LNV = c_NLR.matmul(w_v_NRV).transpose(0, 1);
      return {with_shared_key(k_LNC, latent_LW.narrow(1, kLatent, kRope)), v_LNV};
    };
  }
  Tensor absorbed_queries() const {
    return aten::cat({head_product(q_TNH.narrow(2, 0, kNope), w_k_NCR), q_TNH.narrow(2, kNope, kRope)}, 2);
  }
};

// Feeds the first `fed` tokens of each of two sequences, then the rest in one step; returns the last step's context.
struct Fed {
  Sequences sequences;
  Tensor cache;
};
constexpr int64_t kTokens[] = {37, 5};

void feed(Fed& f, const Layer& layer, const std::vector<int64_t>& from, const std::vector<int64_t>& to, at::Device device) {
  f.sequences = sequences_on(device, {.cu_seqlens = {0, int32_t(to[0] - from[0]), int32_t(to[0] - from[0] + to[1] - from[1])},
                                      .context_lens = {int32_t(from[0]), int32_t(from[1])},
                                      .block_tables = {{4, 0, 2}, {3}}});
  const Tensor rows =
      aten::cat({layer.latent_TW.narrow(0, from[0], to[0] - from[0]), layer.latent_TW.narrow(0, kTokens[0] + from[1], to[1] - from[1])}, 0);
  mla_append(rows, f.cache, f.sequences);
}
Tensor queries_of(const Tensor& q, const std::vector<int64_t>& from, const std::vector<int64_t>& to) {
  return aten::cat({q.narrow(0, from[0], to[0] - from[0]), q.narrow(0, kTokens[0] + from[1], to[1] - from[1])}, 0);
}
Tensor new_cache(at::Device device, at::ScalarType type) {
  return aten::full({5, mla_cache_bytes(kWidth, 16, type)}, 0xFF, at::TensorOptions().dtype(at::kByte).device(device));
}

// All forms after a prefix of `context` tokens, against training-form attention on the whole sequences in fp64.
void test_forms(at::Device device, at::ScalarType type, double tolerance) {
  const c10::NoGradGuard no_grad;
  const Layer layer(42, device, type), exact(42, at::kCPU, at::kDouble);
  const auto rounded = [&](const Tensor& t) { return t.to(type).to(at::kDouble); };
  Layer wide = exact;
  wide.latent_TW = rounded(exact.latent_TW), wide.q_TNH = rounded(exact.q_TNH);
  const auto [k, v] = wide.expand()(wide.latent_TW);
  const Tensor want = attention_ref(wide.q_TNH, k, v, sequences_on(at::kCPU, {0, 37, 42}), kScale);
  for (const std::vector<int64_t>& context : {std::vector<int64_t>{0, 0}, std::vector<int64_t>{20, 3}, std::vector<int64_t>{36, 4}}) {
    Fed f;
    f.cache = new_cache(device, type);
    if (context[0]) feed(f, layer, {0, 0}, context, device);
    feed(f, layer, context, {37, 5}, device);
    const Tensor q = queries_of(layer.q_TNH, context, {37, 5}), expected = queries_of(want, context, {37, 5});
    EXPECT_LT(distance(mla_expanded(q, f.cache, f.sequences, kWidth, layer.expand(), kScale), expected), tolerance) << type << context[0];
    const Tensor qa = queries_of(layer.absorbed_queries(), context, {37, 5});
    EXPECT_LT(distance(head_product(mla_absorbed(qa, f.cache, f.sequences, kLatent, kScale), layer.w_v_NRV), expected), tolerance)
        << type << context[0];
    EXPECT_LT(
        distance(mla_absorbed_ref(qa, f.cache, f.sequences, kLatent, kScale), mla_absorbed(qa, f.cache, f.sequences, kLatent, kScale)),
        tolerance);
  }
}
TEST(MlaAttention, BothFormsAreTheDefinition) {
  test_forms(at::kCPU, at::kFloat, 2e-5);
  test_forms(at::kCPU, at::kDouble, 1e-12);
  test_forms(at::kCPU, at::kBFloat16, 4e-2);
}
TEST(MlaAttention, BothFormsAreTheDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_forms(at::kCUDA, at::kFloat, 1e-3);
  test_forms(at::kCUDA, at::kBFloat16, 4e-2);
}

// The cache is W values a token, and what comes back is what went in, block by block.
TEST(MlaAttention, CacheHoldsTheRows) {
  EXPECT_EQ(mla_cache_bytes(576, 16, at::kBFloat16), 16 * 576 * 2);
  const c10::NoGradGuard no_grad;
  const Layer layer(42, at::kCPU, at::kFloat);
  Fed f;
  f.cache = new_cache(at::kCPU, at::kFloat);
  feed(f, layer, {0, 0}, {17, 2}, at::kCPU);
  feed(f, layer, {17, 2}, {37, 5}, at::kCPU);
  EXPECT_TRUE(aten::equal(mla_gather(f.cache, f.sequences, 0, 2, kWidth, at::kFloat), layer.latent_TW));
  EXPECT_TRUE(aten::equal(mla_gather(f.cache, f.sequences, 1, 2, kWidth, at::kFloat), layer.latent_TW.narrow(0, 37, 5)));
  EXPECT_TRUE(aten::equal(f.cache.view(at::kFloat).view({5, 16, kWidth})[4][3], layer.latent_TW[3]));
}

// Chunks, company and threads change no bit of either form; the expanded one has the bits of the training form.
TEST(MlaAttention, BitsDependOnTheTokenOnly) {
  const c10::NoGradGuard no_grad;
  const int threads = at::get_num_threads();
  const Layer layer(42, at::kCPU, at::kFloat);
  Fed whole;
  whole.cache = new_cache(at::kCPU, at::kFloat);
  feed(whole, layer, {0, 0}, {37, 5}, at::kCPU);
  const Tensor qa = layer.absorbed_queries();
  const Tensor absorbed = mla_absorbed(qa, whole.cache, whole.sequences, kLatent, kScale);
  const Tensor expanded = mla_expanded(layer.q_TNH, whole.cache, whole.sequences, kWidth, layer.expand(), kScale);
  for (const int64_t step : {1, 4}) {
    at::set_num_threads(step == 1 ? 2 : 1);
    Fed f;
    f.cache = new_cache(at::kCPU, at::kFloat);
    std::vector<int64_t> at{0, 0};
    while (at[0] < 37) {
      const std::vector<int64_t> to{std::min<int64_t>(at[0] + 3 * step, 37), std::min<int64_t>(at[1] + step, 5)};
      feed(f, layer, at, to, at::kCPU);
      EXPECT_TRUE(aten::equal(mla_absorbed(queries_of(qa, at, to), f.cache, f.sequences, kLatent, kScale), queries_of(absorbed, at, to)));
      // The latents are expanded outside of the op; only the attention's bits are this op's.
      const auto [k, v] = layer.expand()(layer.latent_TW);
      const auto known = [&](const Tensor& latent_LW) -> std::pair<Tensor, Tensor> {
        EXPECT_TRUE(aten::equal(latent_LW, aten::cat({layer.latent_TW.narrow(0, 0, to[0]), layer.latent_TW.narrow(0, 37, to[1])}, 0)));
        return {aten::cat({k.narrow(0, 0, to[0]), k.narrow(0, 37, to[1])}, 0),
                aten::cat({v.narrow(0, 0, to[0]), v.narrow(0, 37, to[1])}, 0)};
      };
      EXPECT_TRUE(aten::equal(mla_expanded(queries_of(layer.q_TNH, at, to), f.cache, f.sequences, kWidth, known, kScale),
                              queries_of(expanded, at, to)));
      at = to;
    }
  }
  const auto [k, v] = layer.expand()(layer.latent_TW);
  EXPECT_TRUE(aten::equal(expanded, attention(layer.q_TNH, k, v, sequences_on(at::kCPU, {0, 37, 42}), kScale)));
  at::set_num_threads(threads);
}

TEST(MlaAttention, SaysWhatItExpected) {
  const c10::NoGradGuard no_grad;
  const Layer layer(42, at::kCPU, at::kFloat);
  Fed f;
  f.cache = aten::full({5, 64}, 0, at::kByte);
  EXPECT_THROW(feed(f, layer, {0, 0}, {37, 5}, at::kCPU), Error);
  f.cache = new_cache(at::kCPU, at::kFloat).narrow(0, 0, 4).contiguous();  // block 4 is asked for
  EXPECT_THROW(feed(f, layer, {0, 0}, {37, 5}, at::kCPU), Error);
}

TEST(SharedKey, GradientIsSummedOverTheHeads) {
  expect_ref_gradient([](const Tensors& t) { return with_shared_key(t[0], t[1]); }, {randn({4, 3, 2}, 1), randn({4, 5}, 2)});
  const Tensor k = with_shared_key(randn({4, 3, 2}, 1), randn({4, 5}, 2));
  EXPECT_TRUE(aten::equal(k.select(1, 0).narrow(1, 2, 5), k.select(1, 2).narrow(1, 2, 5)));
}

TEST(HeadProduct, IsAProductAHead) {
  const c10::NoGradGuard no_grad;
  const Tensor x = randn({7, 3, 12}, 1), w = randn({3, 12, 300}, 2);
  const Tensor want = head_product_ref(x, w);
  EXPECT_LT(distance(want.select(1, 2), x.select(1, 2).matmul(w[2])), 1e-12);
  const Tensor xf = x.to(at::kFloat), wf = w.to(at::kFloat);
  const Tensor got = head_product(xf, wf);
  EXPECT_LT(distance(got, want), 1e-5);
  EXPECT_TRUE(aten::equal(head_product(xf, w.transpose(1, 2).to(at::kFloat).contiguous().transpose(1, 2)), got));
  EXPECT_TRUE(aten::equal(head_product(xf.narrow(0, 3, 1), wf), got.narrow(0, 3, 1)));
  EXPECT_TRUE(aten::equal(head_product(aten::cat({xf, xf}, 2).narrow(2, 12, 12), wf), got));
}

TEST(Attention, ValuesOfTheirOwnSize) {
  for (const auto& [heads, kv_heads, value] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{{4, 4, 16}, {4, 2, 12}, {2, 1, 33}}) {
    const auto sequences = sequences_on(at::kCPU, {0, 5, 6, 83});
    expect_op_equals_ref([&](const Tensors& t) { return attention(t[0], t[1], t[2], sequences, 0.3); },
                         [&](const Tensors& t) { return attention_ref(t[0], t[1], t[2], sequences, 0.3); },
                         {randn({83, heads, 24}, 1), randn({83, kv_heads, 24}, 2), randn({83, kv_heads, value}, 3)}, at::kCPU);
  }
}
TEST(Attention, ValuesOfTheirOwnSizeCuda) {
  SKIP_WITHOUT_CUDA();
  const auto sequences = sequences_on(at::kCUDA, {0, 5, 6, 83});
  expect_op_equals_ref([&](const Tensors& t) { return attention(t[0], t[1], t[2], sequences, 0.3); },
                       [&](const Tensors& t) { return attention_ref(t[0], t[1], t[2], sequences, 0.3); },
                       {randn({83, 4, 24}, 1), randn({83, 4, 24}, 2), randn({83, 4, 16}, 3)}, at::kCUDA);
}

// The sizes that have a kernel: against the definition in fp64, contexts of all lengths, what is not cached is no number.
TEST(MlaAttention, AbsorbedKernelEqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  const c10::NoGradGuard no_grad;
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const auto& [heads, width, latent] : {std::tuple<int64_t, int64_t, int64_t>{4, 48, 32}, {16, 576, 512}, {20, 576, 512}}) {
      Sequences lists{.cu_seqlens = {0, 1, 2, 3, 5, 5, 6}, .context_lens = {0, 15, 300, 40, 3, 1000}};
      int32_t block = 0;
      for (int64_t i = 0; i < lists.count(); ++i) {
        lists.block_tables.emplace_back();
        for (int64_t t = 0; t < lists.context_lens[size_t(i)] + lists.rows_of(i); t += 16) lists.block_tables.back().push_back(++block);
      }
      lists.block_tables[4] = {0};
      const Sequences here = sequences_on(at::kCPU, lists), there = sequences_on(at::kCUDA, lists);
      const auto rounded = [&](at::IntArrayRef shape, uint64_t seed) { return randn(shape, seed).to(type).to(at::kDouble); };
      const Tensor q = rounded({6, heads, width}, 1), rows = rounded({6, width}, 2);
      const auto cache_of = [&](at::Device device, at::ScalarType of) {
        const Tensor cache =
            aten::full({block + 1, mla_cache_bytes(width, 16, of)}, 0xFF, at::TensorOptions().dtype(at::kByte).device(device));
        Sequences before = lists;
        before.cu_seqlens = {0};
        for (const int32_t context : lists.context_lens) before.cu_seqlens.push_back(before.cu_seqlens.back() + context);
        before.context_lens.assign(size_t(lists.count()), 0);
        const Sequences fed = sequences_on(device, before);
        mla_append(rounded({fed.tokens(), width}, 3).to(device, of), cache, fed);
        return cache;
      };
      const Tensor ours = cache_of(at::kCUDA, type), theirs = cache_of(at::kCPU, at::kDouble);
      mla_append(rows.to(at::kCUDA, type), ours, there);
      mla_append(rows, theirs, here);
      const Tensor got = mla_absorbed(q.to(at::kCUDA, type), ours, there, latent, 0.05),
                   want = mla_absorbed_ref(q, theirs, here, latent, 0.05);
      EXPECT_LE(distance(got, want), type == at::kFloat ? 3e-5 : 2e-2) << type << " width " << width;
    }
  }
}

}  // namespace
}  // namespace r1::ops
