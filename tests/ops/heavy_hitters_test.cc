// Who stays of a full cache, by hand; that the CPU's layout and the plain one of the definition keep the same; and that attention after it is that to
// what was kept.
#include "r1/ops/heavy_hitters.h"

#include <cmath>
#include <limits>

#include "op_test.h"
#include "r1/ops/attention.h"
#include "r1/ops/attention_impl.h"
#include "r1/tensor/aten.h"

namespace r1::ops {
namespace {

using Places = std::vector<int64_t>;

TEST(HeavyHitters, WhoStays) {
  const std::vector<float> scores{5, 1, 4, 4, 0, 4, 9, 0, 0, 0};
  EXPECT_EQ(heavy_hitters(scores, 4), (Places{0, 6, 8, 9}));  // the last two have had no time
  EXPECT_EQ(heavy_hitters(scores, 5), (Places{0, 6, 7, 8, 9}));
  EXPECT_EQ(heavy_hitters(scores, 6), (Places{0, 2, 6, 7, 8, 9})) << "of equal scores the earlier";
  EXPECT_EQ(heavy_hitters(scores, 10), (Places{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(heavy_hitters(scores, 1), (Places{9}));
  EXPECT_EQ(heavy_hitters(std::vector<float>{1, std::nanf(""), 3, 0, 0}, 3), (Places{1, 3, 4})) << "a NaN is not lost";
  EXPECT_THROW(heavy_hitters(scores, 11), Error);
}

constexpr int64_t kHeads = 6, kKvHeads = 2, kDim = 40, kHeld = 90, kKept = 41, kAfter = 9;

struct Text {
  Tensor q, k, v;
};

// A sequence's rows [first, end) into a cache that holds `held` tokens of it.
Tensor feed(const Text& text, const Tensor& cache, const CacheForm& form, int64_t first, int64_t end, int64_t held, at::Device device,
            at::ScalarType type) {
  Sequences s{.cu_seqlens = {0, int32_t(end - first)}, .context_lens = {int32_t(held)}, .block_tables = {{6, 2, 5, 1, 0, 3, 4}}};
  s.set_form(form);
  for (int64_t t = first; t < end; ++t) s.positions.push_back(int32_t(t));
  const auto part = [&](const Tensor& x) { return x.narrow(0, first, end - first).to(device, type); };
  return paged_attention(part(text.q), part(text.k), part(text.v), cache, sequences_on(device, s), 0.2);
}

void test_keeping(at::Device device, at::ScalarType type) {
  const c10::NoGradGuard no_grad;
  const auto rounded = [&](int64_t heads, uint64_t seed) { return randn({kHeld + kAfter, heads, kDim}, seed).to(type).to(at::kDouble); };
  const Text text{rounded(kHeads, 1), rounded(kKvHeads, 2), rounded(kKvHeads, 3)};
  const std::vector<int32_t> blocks{6, 2, 5, 1, 0, 3, 4};
  for (const CacheType as : {CacheType::kModel, CacheType::kBFloat16, CacheType::kInt8, CacheType::kInt4}) {
    const CacheForm form{16, as, 0, 0, 100};
    const auto cache_of = [&](at::Device where, at::ScalarType dtype) {
      return aten::full({8, paged_attention_bytes(kKvHeads, kDim, form, where, dtype)}, 0xFF,
                        at::TensorOptions().dtype(at::kByte).device(where));
    };
    const auto run = [&](at::Device where, at::ScalarType dtype) {
      const Tensor cache = cache_of(where, dtype);
      feed(text, cache, form, 0, kHeld, 0, where, dtype);
      keep_heavy_hitters(cache, form, kKvHeads, kDim, dtype, {.blocks = blocks, .held = kHeld, .kept = kKept});
      return feed(text, cache, form, kHeld, kHeld + kAfter, kKept, where, dtype).to(at::kCPU, at::kDouble);
    };
    const Tensor want = run(at::kCPU, at::kDouble), got = run(device, type);
    EXPECT_LE(distance(got, want), type == at::kFloat ? 2e-5 : type == at::kDouble ? 1e-12 : 2e-2) << int(as);

    // By hand: a text of those tokens alone, for each kv head its own. Scores are sums over rows of the softmax that the definition has.
    const Tensor cache = cache_of(at::kCPU, at::kDouble);
    feed(text, cache, form, 0, kHeld, 0, at::kCPU, at::kDouble);
    std::vector<int64_t> first(kHeld);
    for (int64_t i = 0; i < kHeld; ++i) first[size_t(i)] = i;
    const PlainCache plain(cache, form, kKvHeads, kDim, at::kDouble);
    const Tensor k_lKH = plain.read(plain.places(blocks, first), at::kDouble).first;
    Text alone{text.q.clone(), text.k.clone(), text.v.clone()};
    for (int64_t h = 0; h < kKvHeads; ++h) {
      std::vector<float> scores(kHeld);
      for (int64_t n = h * 3; n < h * 3 + 3; ++n) {
        const Tensor dots = aten::matmul(text.q.select(1, n).narrow(0, 0, kHeld), k_lKH.select(1, h).to(at::kDouble).t()) * 0.2;
        for (int64_t t = 0; t < kHeld; ++t) {
          const Tensor shares = aten::softmax(dots[t].narrow(0, 0, t + 1), 0);
          for (int64_t j = 0; j <= t; ++j) scores[size_t(j)] += shares[j].item<float>();
        }
      }
      const Places stay = heavy_hitters(scores, kKept);
      for (int64_t i = 0; i < kKept; ++i)
        for (const auto& [to, from] : {std::pair(alone.k, text.k), std::pair(alone.v, text.v)}) to[i][h].copy_(from[stay[size_t(i)]][h]);
    }
    const Tensor fresh = cache_of(at::kCPU, at::kDouble);
    feed(alone, fresh, form, 0, kKept, 0, at::kCPU, at::kDouble);
    const Tensor by_hand = feed(alone, fresh, form, kHeld, kHeld + kAfter, kKept, at::kCPU, at::kDouble);
    EXPECT_LE(distance(want, by_hand), 1e-12) << int(as);
  }
}
TEST(HeavyHitters, WhatIsKeptIsWhatIsLookedAt) {
  test_keeping(at::kCPU, at::kFloat);
  test_keeping(at::kCPU, at::kBFloat16);
}
TEST(HeavyHitters, WhatIsKeptIsWhatIsLookedAtCuda) {
  SKIP_WITHOUT_CUDA();
  test_keeping(at::kCUDA, at::kFloat);
}

TEST(HeavyHitters, NeedsABudgetAndTokens) {
  const CacheForm form{16, CacheType::kModel, 0, 0, 64};
  const Tensor cache = aten::zeros({4, paged_attention_bytes(1, 8, form, at::kCPU, at::kFloat)}, at::kByte);
  const std::vector<int32_t> blocks{0, 1, 2, 3};
  EXPECT_THROW(keep_heavy_hitters(cache, {}, 1, 8, at::kFloat, {.blocks = blocks, .held = 64, .kept = 48}), Error);
  EXPECT_THROW(keep_heavy_hitters(cache, form, 1, 8, at::kFloat, {.blocks = blocks, .held = 65, .kept = 48}), Error);
  EXPECT_THROW(keep_heavy_hitters(cache, form, 1, 8, at::kFloat, {.blocks = blocks, .held = 10, .kept = 11}), Error);
}

}  // namespace
}  // namespace r1::ops
