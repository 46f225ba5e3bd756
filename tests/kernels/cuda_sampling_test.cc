// The sampling kernel by itself: parameters and results in the device's memory. That its tokens are the host sampler's is tested in
// tests/engine/device_sampler_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/kernels/cuda/sampling.h"
#include "tests/kernels/cuda_testing.h"

namespace r1::kernels::cuda {
namespace {

// Same memory, same launch, other parameters: what a captured launch does.
TEST(CudaSampling, ReadsItsRowsFromTheDeviceCuda) {
  SKIP_WITHOUT_CUDA();
  constexpr int64_t kVocab = 9001, kRows = 5;
  Rng rng(3);
  std::vector<float> logits;
  for (int64_t i = 0; i < kRows * kVocab; ++i) logits.push_back(float(rng.normal()));
  std::vector<SamplingRow> rows(kRows);
  const Buffer logits_dev = uploaded(logits), rows_dev(0, sizeof(SamplingRow) * kRows), tokens(0, kRows * 8),
               results(0, kRows * sizeof(SampledRow)), top(0, kRows * kMaxTopTokens * sizeof(TopToken));
  const auto run = [&](bool from_here = false) {
    rows_dev.upload(rows.data(), rows_dev.bytes(), {});
    sample({.logits = static_cast<const float*>(logits_dev.data()),
            .vocab = kVocab,
            .row_stride = kVocab,
            .count = kRows,
            .rows = from_here ? nullptr : static_cast<const SamplingRow*>(rows_dev.data()),
            .rows_here = rows.data(),
            .tokens = static_cast<int64_t*>(tokens.data()),
            .results = static_cast<SampledRow*>(results.data()),
            .top = static_cast<TopToken*>(top.data())},
           {});
    return downloaded<int64_t>(tokens);
  };
  const auto best = [&](int64_t row) {
    const float* z = logits.data() + row * kVocab;
    return std::max_element(z, z + kVocab) - z;
  };
  for (int64_t i = 0; i < kRows; ++i) rows[size_t(i)] = {.logits_row = kRows - 1 - i, .greedy = 1, .logprob = 1, .top = 3};
  auto got = run();
  const auto alternatives = downloaded<TopToken>(top);
  std::vector<float> scores;
  for (const SampledRow& r : downloaded<SampledRow>(results)) scores.push_back(r.logprob);
  EXPECT_EQ(run(/*from_here=*/true), got);
  for (int64_t i = 0; i < kRows; ++i) {
    EXPECT_EQ(got[size_t(i)], best(kRows - 1 - i));
    const TopToken* t = &alternatives[size_t(i * kMaxTopTokens)];
    EXPECT_EQ(t[0].id, got[size_t(i)]);
    EXPECT_EQ(t[0].logprob, scores[size_t(i)]);
    EXPECT_GE(t[0].logprob, t[1].logprob);
    EXPECT_GE(t[1].logprob, t[2].logprob);
    double total = 0;
    for (int64_t v = 0; v < kVocab; ++v) total += std::exp(double(logits[size_t((kRows - 1 - i) * kVocab + v)]));
    EXPECT_NEAR(scores[size_t(i)], logits[size_t((kRows - 1 - i) * kVocab + got[size_t(i)])] - std::log(total), 1e-5);
  }

  for (int64_t i = 0; i < kRows; ++i) rows[size_t(i)] = {.logits_row = i, .forced = int32_t(i * 1000)};
  rows[1] = {.logits_row = 1, .top_k = 1};
  // The best one is taken down by a count that comes with this launch, and stays down in the next.
  const Buffer counts = uploaded(std::vector<TokenCount>(2));
  rows[2] = {.logits_row = 2, .presence_penalty = 100, .greedy = 1};
  rows[2].counts = static_cast<TokenCount*>(counts.data());
  rows[2].counted = 1;
  rows[2].changes = 1;
  rows[2].change[0] = {0, {int32_t(best(2)), 1}};
  const Buffer banned = uploaded(std::vector<int32_t>{int32_t(best(3)), -1, 9001});
  rows[3] = {.logits_row = 3, .greedy = 1, .bans = 3, .banned = static_cast<const int32_t*>(banned.data())};
  got = run();
  EXPECT_EQ(got[0], 0);
  EXPECT_EQ(got[1], best(1));
  EXPECT_NE(got[2], best(2));
  EXPECT_NE(got[3], best(3));
  EXPECT_EQ(got[4], 4000);
  rows[2].changes = 0;
  EXPECT_EQ(run(), got);
  EXPECT_EQ(downloaded<TokenCount>(counts)[0].id, best(2));
  const auto rest = downloaded<SampledRow>(results);
  for (int64_t i = 0; i < kRows; ++i) {
    EXPECT_EQ(rest[size_t(i)].token, got[size_t(i)]);
    EXPECT_EQ(rest[size_t(i)].broken, 0);
  }
  EXPECT_THROW(sample({.vocab = kMaxSampledVocab + 1, .count = 1}, {}), Error);
}

}  // namespace
}  // namespace r1::kernels::cuda
