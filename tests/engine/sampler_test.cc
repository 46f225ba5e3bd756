#include "r1/engine/sampler.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <set>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/engine/row_math.h"

namespace r1::engine {

namespace {

Sampled sample_one(const std::vector<float>& z, const SamplingParams& p, int64_t index = 0, int32_t sample = 0,
                   const TokenCounts* counts = nullptr, TokenId forced = -1) {
  const SampleRow row{.logits = z.data(), .params = &p, .counts = counts, .sample_index = sample, .token_index = index, .forced = forced};
  Sampled out;
  sample_rows({&row, 1}, int64_t(z.size()), {&out, 1});
  return out;
}

std::vector<double> frequencies(const std::vector<float>& z, SamplingParams p, int draws, const TokenCounts* counts = nullptr) {
  std::vector<double> count(z.size());
  for (int i = 0; i < draws; ++i) count[size_t(sample_one(z, p, i, 0, counts).token)] += 1.0 / draws;
  return count;
}

std::vector<double> softmax(const std::vector<double>& z) {
  double total = 0;
  std::vector<double> p;
  for (double x : z) total += std::exp(x);
  for (double x : z) p.push_back(std::exp(x) / total);
  return p;
}

// Pearson's statistic against the expected distribution; tokens of probability 0 must not occur at all.
void expect_distribution(const std::vector<double>& seen, const std::vector<double>& expected, int draws) {
  double statistic = 0;
  int degrees = -1;
  for (size_t i = 0; i < seen.size(); ++i) {
    if (expected[i] == 0) {
      EXPECT_EQ(seen[i], 0) << "token " << i;
      continue;
    }
    statistic += draws * (seen[i] - expected[i]) * (seen[i] - expected[i]) / expected[i];
    ++degrees;
  }
  // Wilson-Hilferty: the cube root of chi^2 / k is nearly normal. 4 sigma; the seeds are fixed.
  const double k = std::max(1, degrees), a = 2 / (9 * k);
  if (degrees > 0)
    EXPECT_LT((std::cbrt(statistic / k) - (1 - a)) / std::sqrt(a), 4) << "chi^2 " << statistic << " with " << degrees << " degrees";
}

constexpr int kDraws = 40000;
const std::vector<float> kLogits = {1.0f, -0.5f, 2.0f, 0.25f, 1.5f, -3.0f, 0.0f};

std::vector<double> as_double(const std::vector<float>& z) {
  return {z.begin(), z.end()};
}

std::vector<double> only(std::vector<double> z, const std::set<int>& kept) {
  for (size_t i = 0; i < z.size(); ++i)
    if (!kept.count(int(i))) z[i] = -INFINITY;
  return softmax(z);
}

}  // namespace

TEST(Sampler, GreedyTakesTheFirstMaximum) {
  SamplingParams p{.temperature = 0};
  std::vector<float> z(1000, -1.0f);
  z[517] = z[518] = z[999] = 3.5f;
  EXPECT_EQ(sample_one(z, p).token, 517);
  std::fill(z.begin(), z.end(), 2.0f);
  EXPECT_EQ(sample_one(z, p).token, 0);
}

// 1 / temperature, or a logit divided by it, is beyond a float's range: such a temperature is greedy, and the log-probability stays a number.
TEST(Sampler, TemperaturesNextToNothingAreGreedy) {
  const std::vector<float> z = {-1.0f, 4.0f, 3.0f, 4000.0f, 2.0f};
  const SamplingParams greedy{.temperature = 0, .logprobs = true, .top_logprobs = 3};
  const Sampled expected = sample_one(z, greedy);
  EXPECT_EQ(expected.token, 3);
  for (const double temperature : {9e-7, 1e-37, 1e-39, 1e-45, 1e-310, 5e-324}) {
    for (const double top_p : {1.0, 0.9}) {
      const SamplingParams p{.temperature = temperature, .top_p = top_p, .logprobs = true, .top_logprobs = 3};
      const Sampled got = sample_one(z, p);
      EXPECT_EQ(got.token, 3) << temperature;
      EXPECT_EQ(got.logprob, expected.logprob) << temperature;
      for (size_t i = 0; i < 3; ++i) EXPECT_EQ(got.top[i].logprob, expected.top[i].logprob) << temperature;
    }
  }
  // The smallest that is drawn at: all of the probability is on one token, and nothing overflows.
  const SamplingParams least{.temperature = kGreedyBelow, .logprobs = true, .top_logprobs = 2};
  EXPECT_EQ(sample_one(z, least).token, 3);
  EXPECT_EQ(sample_one(z, least).logprob, 0);
  EXPECT_TRUE(std::isfinite(sample_one(z, least).top[1].logprob));
}

TEST(Sampler, RowLoopsAgreeWithPlainOnes) {
  Rng rng(3);
  for (int64_t n : {1, 2, 15, 16, 17, 255, 256, 257, 1000, 49152}) {
    std::vector<float> z, w(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) z.push_back(float(4 * rng.normal()));
    const auto max = std::max_element(z.begin(), z.end());
    EXPECT_EQ(row_max(z.data(), n), *max);
    EXPECT_EQ(row_argmax(z.data(), n), max - z.begin());
    for (double u : {0.0, 0.1, 0.5, 0.9, 0.999999, 1.0 - 0x1p-53}) {
      double total = 0, sum = 0;
      for (float x : z) total += std::exp((double(x) - *max) / 0.7);
      int64_t expected = n - 1;
      for (int64_t i = 0; i < n; ++i)
        if ((sum += std::exp((double(z[size_t(i)]) - *max) / 0.7)) > u * total) {
          expected = i;
          break;
        }
      const int64_t got = draw_row(z.data(), n, *max, 0.7f, u, w.data());
      if (got != expected) {  // only by rounding at a boundary: the cumulative sums between them differ by next to nothing
        double lo = 0, between = 0;
        for (int64_t i = 0; i <= std::max(got, expected); ++i)
          (i <= std::min(got, expected) ? lo : between) += std::exp((double(z[size_t(i)]) - *max) / 0.7);
        EXPECT_LT(std::min(std::abs(lo - u * total), between) / total, 1e-5) << n << " " << u;
      }
    }
    z[size_t(n / 2)] = NAN;
    EXPECT_TRUE(std::isnan(row_max(z.data(), n)));
  }
}

TEST(Sampler, DrawsFollowTheDistribution) {
  for (double temperature : {0.3, 1.0, 2.5}) {
    std::vector<double> z = as_double(kLogits);
    for (double& x : z) x /= temperature;
    expect_distribution(frequencies(kLogits, {.temperature = temperature, .seed = 5}, kDraws), softmax(z), kDraws);
  }
}

TEST(Sampler, TopKKeepsTheKthAndItsTies) {
  const auto z = as_double(kLogits);
  expect_distribution(frequencies(kLogits, {.top_k = 1}, 100), only(z, {2}), 100);
  expect_distribution(frequencies(kLogits, {.top_k = 3}, kDraws), only(z, {2, 4, 0}), kDraws);
  const std::vector<float> ties = {1, 2, 1, 0, 1};
  expect_distribution(frequencies(ties, {.top_k = 2}, kDraws), only(as_double(ties), {0, 1, 2, 4}), kDraws);
  expect_distribution(frequencies(kLogits, {.top_k = 100}, kDraws), softmax(z), kDraws);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  const auto z = as_double(kLogits);
  const auto p = softmax(z);  // by likelihood: 2, 4, 0, 3, 6, 1, 5
  expect_distribution(frequencies(kLogits, {.top_p = 1e-9}, 100), only(z, {2}), 100);
  expect_distribution(frequencies(kLogits, {.top_p = p[2] - 1e-6}, 1000), only(z, {2}), 1000);
  expect_distribution(frequencies(kLogits, {.top_p = p[2] + 1e-6}, kDraws), only(z, {2, 4}), kDraws);
  expect_distribution(frequencies(kLogits, {.top_p = p[2] + p[4] + p[0] + 1e-6}, kDraws), only(z, {2, 4, 0, 3}), kDraws);
}

TEST(Sampler, TopPCountsWhatTopKLeft) {
  // After top_k = 2 the first holds 1 / (1 + e^-0.5) = 0.62 of the rest: HF and vLLM renormalise in between.
  expect_distribution(frequencies(kLogits, {.top_k = 2, .top_p = 0.61}, 1000), only(as_double(kLogits), {2}), 1000);
  expect_distribution(frequencies(kLogits, {.top_k = 2, .top_p = 0.63}, kDraws), only(as_double(kLogits), {2, 4}), kDraws);
}

TEST(Sampler, MinPIsRelativeToTheLikeliest) {
  // exp(-1) = 0.368: token 0 is that much less likely than token 2.
  expect_distribution(frequencies(kLogits, {.min_p = 0.36}, kDraws), only(as_double(kLogits), {2, 4, 0}), kDraws);
  expect_distribution(frequencies(kLogits, {.min_p = 0.37}, kDraws), only(as_double(kLogits), {2, 4}), kDraws);
}

TEST(Sampler, LargeVocabulariesAreCutTheSameWay) {
  Rng rng(9);
  std::vector<float> z;
  for (int i = 0; i < 5000; ++i) z.push_back(float(3 * rng.normal()));
  std::vector<int> order(z.size());
  for (size_t i = 0; i < z.size(); ++i) order[i] = int(i);
  std::sort(order.begin(), order.end(), [&](int a, int b) { return z[size_t(a)] > z[size_t(b)]; });
  const auto p = softmax(as_double(z));
  std::set<int> kept;
  double mass = 0;
  for (int id : order) {
    if (mass >= 0.9) break;
    kept.insert(id);
    mass += p[size_t(id)];
  }
  std::set<int> seen;
  for (int i = 0; i < 3000; ++i) seen.insert(sample_one(z, {.top_p = 0.9}, i).token);
  for (int id : seen) EXPECT_TRUE(kept.count(id)) << id;
  EXPECT_GT(seen.size(), kept.size() / 2);
}

TEST(Sampler, PenaltiesAsDefined) {
  TokenCounts counts;
  counts.add_prompt(0);
  counts.add_prompt(5);
  counts.add_made(2);
  counts.add_made(2);
  counts.add_made(5);
  // HF: prompt and answer, division above zero and multiplication below.
  auto z = as_double(kLogits);
  z[0] /= 1.5;
  z[2] /= 1.5;
  z[5] *= 1.5;
  expect_distribution(frequencies(kLogits, {.repetition_penalty = 1.5}, kDraws, &counts), softmax(z), kDraws);
  // OpenAI: answer only.
  z = as_double(kLogits);
  z[2] -= 0.7 + 2 * 0.4;
  z[5] -= 0.7 + 0.4;
  expect_distribution(frequencies(kLogits, {.presence_penalty = 0.7, .frequency_penalty = 0.4}, kDraws, &counts), softmax(z), kDraws);
  // The reported log-probability stays the model's.
  const auto made = sample_one(kLogits, {.temperature = 0, .repetition_penalty = 1.5, .logprobs = true}, 0, 0, &counts);
  EXPECT_EQ(made.token, 4);
  EXPECT_NEAR(made.logprob, std::log(softmax(as_double(kLogits))[4]), 1e-6);
}

TEST(Sampler, StopIdsWaitForMinNewTokens) {
  const SamplingParams p{.temperature = 0, .min_new_tokens = 3, .stop_ids = {2, 4}};
  EXPECT_EQ(sample_one(kLogits, p, 2).token, 0);
  EXPECT_EQ(sample_one(kLogits, p, 3).token, 2);
}

TEST(Sampler, LogprobsAreTheModelsUnderItsTemperature) {
  auto z = as_double(kLogits);
  for (double& x : z) x /= 0.5;
  const auto p = softmax(z);
  for (int i = 0; i < 50; ++i) {
    const auto s = sample_one(kLogits, {.temperature = 0.5, .top_k = 2, .logprobs = true, .top_logprobs = 3}, i);
    EXPECT_NEAR(s.logprob, std::log(p[size_t(s.token)]), 1e-6);
    ASSERT_EQ(s.top.size(), 3u);
    EXPECT_EQ(s.top[0].id, 2);
    EXPECT_EQ(s.top[1].id, 4);
    EXPECT_EQ(s.top[2].id, 0);
    EXPECT_NEAR(s.top[2].logprob, std::log(p[0]), 1e-6);
    for (const auto& t : s.top)
      if (t.id == s.token) EXPECT_EQ(t.logprob, s.logprob);
  }
  EXPECT_TRUE(std::isnan(sample_one(kLogits, {}).logprob));
}

TEST(Sampler, ForcedTokensCarryTheirProbability) {
  const auto s = sample_one(kLogits, {.temperature = 1, .logprobs = true}, 0, 0, nullptr, 5);
  EXPECT_EQ(s.token, 5);
  EXPECT_NEAR(s.logprob, std::log(softmax(as_double(kLogits))[5]), 1e-6);
  EXPECT_THROW(sample_one(kLogits, {}, 0, 0, nullptr, 7), Error);
}

TEST(Sampler, ARowDependsOnItselfAlone) {
  Rng rng(1);
  constexpr int kRows = 70, kVocab = 3001;
  std::vector<std::vector<float>> logits(kRows);
  std::vector<SamplingParams> params(kRows);
  std::vector<SampleRow> rows;
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVocab; ++j) logits[size_t(i)].push_back(float(2 * rng.normal()));
    params[size_t(i)] = {
        .temperature = i % 5 * 0.5, .top_k = i % 3 * 20, .top_p = i % 2 ? 0.9 : 1.0, .seed = uint64_t(i), .logprobs = true};
    rows.push_back({.logits = logits[size_t(i)].data(), .params = &params[size_t(i)], .sample_index = i % 4, .token_index = i});
  }
  const int threads = omp_get_max_threads();
  std::vector<Sampled> together(kRows), alone(kRows);
  for (int n : {1, 2, 3}) {
    omp_set_num_threads(n);
    sample_rows(rows, kVocab, together);
    for (size_t i = 0; i < kRows; ++i) {
      sample_rows({&rows[i], 1}, kVocab, {&alone[i], 1});
      EXPECT_EQ(alone[i].token, together[i].token);
      EXPECT_EQ(alone[i].logprob, together[i].logprob);
    }
  }
  omp_set_num_threads(threads);
}

TEST(Sampler, SamplesOfAPromptDifferAndSeedsRepeat) {
  std::vector<float> z(500, 0.0f);
  EXPECT_NE(sample_one(z, {.seed = 1}, 0, 0).token, sample_one(z, {.seed = 1}, 0, 1).token);
  EXPECT_NE(sample_one(z, {.seed = 1}, 0, 0).token, sample_one(z, {.seed = 1}, 1, 0).token);
  EXPECT_NE(sample_one(z, {.seed = 1}, 0, 0).token, sample_one(z, {.seed = 2}, 0, 0).token);
  EXPECT_EQ(sample_one(z, {.seed = 1}, 3, 2).token, sample_one(z, {.seed = 1}, 3, 2).token);
}

TEST(Sampler, BrokenLogitsAreAnError) {
  for (float bad : {NAN, INFINITY}) {
    std::vector<float> z(100, 0.0f);
    z[99] = bad;
    EXPECT_THROW(sample_one(z, {}), Error);
  }
  EXPECT_THROW(sample_one(std::vector<float>(8, -INFINITY), {}), Error);
  // Some tokens may be out of the question.
  std::vector<float> z(100, -INFINITY);
  z[42] = -5;
  EXPECT_EQ(sample_one(z, {}).token, 42);
}

TEST(Sampling, ChecksNameTheField) {
  const auto message = [](const SamplingParams& p) {
    try {
      check_sampling(p);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kUsage);
      return std::string(e.what());
    }
    return std::string("ok");
  };
  EXPECT_EQ(message({}), "ok");
  for (const auto& [p, field] : std::vector<std::pair<SamplingParams, const char*>>{{{.temperature = -1}, "temperature"},
                                                                                    {{.temperature = NAN}, "temperature"},
                                                                                    {{.top_k = -1}, "top_k"},
                                                                                    {{.top_p = 0}, "top_p"},
                                                                                    {{.top_p = 1.1}, "top_p"},
                                                                                    {{.min_p = -0.1}, "min_p"},
                                                                                    {{.repetition_penalty = 0}, "repetition_penalty"},
                                                                                    {{.presence_penalty = INFINITY}, "presence_penalty"},
                                                                                    {{.frequency_penalty = NAN}, "frequency_penalty"},
                                                                                    {{.max_new_tokens = 0}, "max_new_tokens"},
                                                                                    {{.min_new_tokens = 17}, "min_new_tokens"},
                                                                                    {{.top_logprobs = 21}, "top_logprobs"}})
    EXPECT_NE(message(p).find(field), std::string::npos) << message(p);
}

}  // namespace r1::engine
