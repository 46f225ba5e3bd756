#include "r1/kernels/cpu/experts.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "tests/kernels/kernel_testing.h"

namespace r1::kernels {
namespace {

// Everything the kernels give for one set of inputs, for comparing bits.
std::vector<float> all_results(bool softmax, int64_t rows, int64_t experts, int64_t dim) {
  constexpr int64_t kPerToken = 3;
  const std::vector<float> logits = random_floats(rows * experts, 1, 4), bias = random_floats(experts, 2, 0.2f);
  std::vector<float> scores(size_t(rows * experts)), dlogits(scores.size()), dscores(scores.size()), gates(size_t(rows * kPerToken));
  expert_scores({.logits = logits.data(), .scores = scores.data(), .rows = rows, .experts = experts, .softmax = softmax});
  std::vector<int64_t> chosen(gates.size()), place(gates.size());
  choose_experts(
      {.scores = scores.data(), .bias = bias.data(), .chosen = chosen.data(), .rows = rows, .experts = experts, .per_token = kPerToken});
  expert_gates(
      {.scores = scores.data(), .chosen = chosen.data(), .gates = gates.data(), .rows = rows, .experts = experts, .per_token = kPerToken});
  const std::vector<float> dgates = random_floats(rows * kPerToken, 3);
  expert_gates_backward({.scores = scores.data(),
                         .chosen = chosen.data(),
                         .dgates = dgates.data(),
                         .dscores = dscores.data(),
                         .rows = rows,
                         .experts = experts,
                         .per_token = kPerToken});
  expert_scores_backward({.scores = scores.data(),
                          .dscores = dscores.data(),
                          .dlogits = dlogits.data(),
                          .rows = rows,
                          .experts = experts,
                          .softmax = softmax});
  for (size_t i = 0; i < place.size(); ++i) place[i] = int64_t((i * 7) % place.size());  // 7 divides no size used below
  const std::vector<float> y = random_floats(rows * kPerToken * dim, 4), dout = random_floats(rows * dim, 5);
  std::vector<float> out(size_t(rows * dim)), dy(y.size()), dgates_back(gates.size());
  combine_rows({.y = {y.data()},
                .gates = gates.data(),
                .place = place.data(),
                .out = {out.data()},
                .tokens = rows,
                .per_token = kPerToken,
                .dim = dim});
  combine_rows_backward({.y = {y.data()},
                         .dout = {dout.data()},
                         .gates = gates.data(),
                         .place = place.data(),
                         .dy = {dy.data()},
                         .dgates = dgates_back.data(),
                         .tokens = rows,
                         .per_token = kPerToken,
                         .dim = dim});
  std::vector<float> all;
  for (const auto* part : {&scores, &gates, &dlogits, &out, &dy, &dgates_back}) all.insert(all.end(), part->begin(), part->end());
  for (const int64_t e : chosen) all.push_back(float(e));
  return all;
}

TEST(Experts, SameBitsOnEveryInstructionSetAndThreadCount) {
  for (const bool softmax : {false, true}) {
    for (const auto& [rows, experts, dim] : std::vector<std::array<int64_t, 3>>{{1, 3, 1}, {5, 16, 43}, {400, 37, 130}}) {
      set_isa(Isa::kScalar);
      std::vector<float> want;
      with_threads(1, [&, r = rows, e = experts, d = dim] { want = all_results(softmax, r, e, d); });
      for_each_isa_and_threads([&, r = rows, e = experts, d = dim](const std::string& where) {
        const std::vector<float> got = all_results(softmax, r, e, d);
        ASSERT_EQ(got.size(), want.size());
        for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(bits(got[i]), bits(want[i])) << where << ", number " << i << ", rows " << r;
      });
    }
  }
}

TEST(Experts, ScoresAreSigmoidOrSoftmax) {
  const std::vector<float> logits = random_floats(2 * 20, 1, 5);
  std::vector<float> s(40), p(40);
  expert_scores({.logits = logits.data(), .scores = s.data(), .rows = 2, .experts = 20});
  expert_scores({.logits = logits.data(), .scores = p.data(), .rows = 2, .experts = 20, .softmax = true});
  for (int64_t r = 0; r < 2; ++r) {
    double sum = 0;
    for (int64_t e = 0; e < 20; ++e) sum += std::exp(double(logits[size_t(r * 20 + e)]));
    for (int64_t e = 0; e < 20; ++e) {
      const size_t i = size_t(r * 20 + e);
      EXPECT_NEAR(s[i], 1 / (1 + std::exp(-double(logits[i]))), 1e-6);
      EXPECT_NEAR(p[i], std::exp(double(logits[i])) / sum, 1e-6);
    }
  }
}

TEST(Experts, CombineRoundsOnce) {
  // Terms that a sum rounded at each step would lose.
  const uint16_t one = 0x3F80, small = 0x3B00;
  const std::vector<uint16_t> y{one, small, small};
  const std::vector<int64_t> place{0, 1, 2};
  uint16_t out = 0;
  combine_rows({.y = {y.data(), Float::kBf16}, .place = place.data(), .out = {&out, Float::kBf16}, .tokens = 1, .per_token = 3, .dim = 1});
  EXPECT_EQ(out, 0x3F80);                                // 1 + 2^-8 is halfway: to even
  const std::vector<uint16_t> more{one, 0x3B80, small};  // 1 + 2^-8 + 2^-9
  combine_rows(
      {.y = {more.data(), Float::kBf16}, .place = place.data(), .out = {&out, Float::kBf16}, .tokens = 1, .per_token = 3, .dim = 1});
  EXPECT_EQ(out, 0x3F81);
}

TEST(Experts, SayWhatTheyExpected) {
  float scores[6] = {};
  int64_t chosen[6];
  EXPECT_THROW(choose_experts({.scores = scores, .chosen = chosen, .rows = 1, .experts = 6, .per_token = 1, .groups = 4}), Error);
  EXPECT_THROW(choose_experts({.scores = scores, .chosen = chosen, .rows = 1, .experts = 6, .per_token = 3, .groups = 3, .groups_kept = 1}),
               Error);
  EXPECT_THROW(expert_scores({.logits = scores, .scores = scores, .rows = 1, .experts = 0}), Error);
}

}  // namespace
}  // namespace r1::kernels
