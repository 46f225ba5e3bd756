#include "r1/stages/grpo_loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "r1/base/rng.h"
#include "r1/stages/grpo_batch.h"
#include "r1/tensor/aten.h"
#include "tests/stages/stage_testing.h"

namespace r1::stages {
namespace {

Rollout small_rollout() {
  Rollout out;
  Rng rng(3);
  out.problems.resize(2);
  for (int i = 0; i < 4; ++i) {
    Sample s;
    s.group = i / 2;
    s.prompt = {1, 2, 3};
    for (int t = 0; t < 2 + i; ++t) {
      s.completion.push_back(4 + t);
      s.logprobs.push_back(float(-0.5 - rng.uniform()));
    }
    s.finish = i == 3 ? engine::FinishReason::kLength : engine::FinishReason::kStop;
    out.samples.push_back(s);
  }
  return out;
}

const std::vector<float> kAdvantages = {1.5f, -0.5f, 0.7f, -0.9f};

// The formula of grpo_loss.h, one token after the other in double.
double defined_loss(const data::Batch& b, const std::vector<float>& logp, const GrpoLossArgs& args, double denominator,
                    std::vector<double>* gradient = nullptr) {
  double loss = 0;
  for (int64_t t = 0; t < b.tokens(); ++t) {
    if (gradient) gradient->push_back(0);
    if (b.loss_weight[t] == 0) continue;
    const double rho = std::exp(double(logp[t]) - b.old_logprob[t]), a = b.advantage[t];
    const double high = 1 + (args.epsilon_high > 0 ? args.epsilon_high : args.epsilon), clipped = std::clamp(rho, 1 - args.epsilon, high);
    double term = -std::min(rho * a, clipped * a), slope = rho * a <= clipped * a ? -rho * a : 0;
    if (args.beta > 0) {
      const double d = double(b.ref_logprob[t]) - logp[t];
      term += args.beta * (std::exp(d) - d - 1);
      slope += args.beta * (1 - std::exp(d));
    }
    loss += term * b.loss_weight[t] / denominator;
    if (gradient) gradient->back() = slope * b.loss_weight[t] / denominator;
  }
  return loss;
}

class GrpoLoss : public ::testing::TestWithParam<const char*> {};

TEST_P(GrpoLoss, ValueGradientAndMetricsFollowTheDefinition) {
  GrpoLossArgs args;
  args.loss_type = GetParam();
  args.epsilon = 0.2;
  args.epsilon_high = 0.28;
  args.beta = 0.1;
  auto batch = make_batches(small_rollout(), kAdvantages, {4, 16, args.loss_type, false}, nullptr).at(0);
  Rng rng(5);
  std::vector<float> logp;
  for (int64_t t = 0; t < batch.tokens(); ++t) {
    logp.push_back(batch.old_logprob[t] + float(0.6 * (rng.uniform() - 0.5)));
    batch.ref_logprob.push_back(batch.old_logprob[t] + float(0.4 * (rng.uniform() - 0.5)));
  }
  const auto spec = grpo_loss(args, 1.0);
  const double denominator = spec.weight ? spec.weight(batch) : [&] {
    double sum = 0;
    for (float w : batch.loss_weight) sum += w;
    return sum;
  }();
  auto logp_T = aten::tensor(logp).requires_grad_(true);
  train::ForwardResult forward{&batch, logp_T, aten::tensor(std::vector<float>(logp.size(), 0.5f)), aten::tensor(batch.loss_weight)};
  train::LossMetrics metrics;
  auto loss = spec.loss(forward, denominator, metrics);
  std::vector<double> gradient;
  EXPECT_NEAR(loss.item<double>(), defined_loss(batch, logp, args, denominator, &gradient), 1e-6);
  loss.backward();
  const float* g = logp_T.grad().const_data_ptr<float>();
  for (size_t t = 0; t < gradient.size(); ++t) EXPECT_NEAR(g[t], gradient[t], 1e-6) << t;
  EXPECT_EQ(metrics.sums["tokens"], 2 + 3 + 4 + 5);
  EXPECT_GT(metrics.sums["clip_low"] + metrics.sums["clip_high"], 0);
  EXPECT_NEAR(metrics.sums["entropy"], 0.5 * metrics.sums["tokens"], 1e-4);
}
INSTANTIATE_TEST_SUITE_P(Types, GrpoLoss, ::testing::Values("grpo", "dapo", "dr_grpo"));

TEST(GrpoLossTypes, WeighTokensAsDefined) {
  EXPECT_DOUBLE_EQ(token_weight("grpo", 4, 100), 0.25);
  EXPECT_DOUBLE_EQ(token_weight("dapo", 4, 100), 1);
  EXPECT_DOUBLE_EQ(token_weight("dr_grpo", 4, 100), 0.01);
}

// Of each micro-batch the mean over its tokens, whatever their number; one where nothing is learned does not count.
TEST(GrpoLossTypes, BnpoGivesEachMicroBatchTheSameWeight) {
  for (const data::Batch& batch : make_batches(small_rollout(), kAdvantages, {3, 16, "bnpo", true}, nullptr)) {
    double sum = 0, most = 0;
    for (const float w : batch.loss_weight) sum += w, most = std::max(most, double(w));
    EXPECT_NEAR(sum, batch.documents() == 3 ? 1 : 0, 1e-6);
    if (sum > 0) EXPECT_NEAR(most, 1.0 / (2 + 3 + 4), 1e-6);
  }
}

TEST(GrpoLossTypes, SequenceRatioIsTheMeanOfLogRatios) {
  GrpoLossArgs args;
  args.importance_sampling_level = "sequence";
  args.epsilon = 10;
  const auto batch = make_batches(small_rollout(), kAdvantages, {4, 16, "grpo", false}, nullptr).at(0);
  std::vector<float> logp(batch.old_logprob);
  double expected = 0;
  for (int64_t s = 0; s < 4; ++s) {
    const int32_t end = batch.cu_seqlens[s + 1], length = int32_t(2 + s);
    for (int32_t t = end - length; t < end; ++t) logp[size_t(t)] += 0.1f * float(t - (end - length));
    const double mean = 0.1 * (length - 1) / 2.0;
    expected -= std::exp(mean) * kAdvantages[size_t(s)] / 4;
  }
  train::LossMetrics metrics;
  const auto loss = grpo_loss(args, 1.0).loss(
      {&batch, aten::tensor(logp), aten::tensor(std::vector<float>(logp.size(), 0.f)), aten::tensor(batch.loss_weight)}, 4, metrics);
  EXPECT_NEAR(loss.item<double>(), expected, 1e-5);
}

// A loss that is not finite: which of its terms it was.
TEST(GrpoLossTypes, ASkippedStepNamesTheTerm) {
  set_log_level(LogLevel::kError);  // the steps are warned about
  const auto loaded = eval::load({tiny_model().string(), "", "float32"}, at::kCPU);
  train::Trainer trainer(*loaded.model, {}, 10, 1);
  GrpoLossArgs args;
  args.beta = 0.1;
  const auto reason = [&](const std::function<void(data::Batch&)>& spoil) {
    auto batch = make_batches(small_rollout(), kAdvantages, {4, 16, "grpo", false}, nullptr);
    batch[0].ref_logprob = batch[0].old_logprob;
    spoil(batch[0]);
    return trainer.step(batch, grpo_loss(args, 1.0)).skip_reason;
  };
  EXPECT_EQ(reason([](data::Batch&) {}), "");
  const size_t learned = 3;
  EXPECT_TRUE(contains(reason([&](data::Batch& b) { b.ref_logprob[learned] = std::nanf(""); }), "NaN in the loss's kl term"));
  EXPECT_TRUE(contains(reason([&](data::Batch& b) { b.advantage[learned] = std::nanf(""); }), "NaN in the loss's policy term"));
  EXPECT_TRUE(
      contains(reason([&](data::Batch& b) { b.old_logprob[learned] = -200, b.advantage[learned] = -1; }), "Inf in the loss's policy term"));
  set_log_level(LogLevel::kWarning);
}

TEST(GrpoBatch, TargetsOldLogprobsAndMasks) {
  const auto rollout = small_rollout();
  const auto batches = make_batches(rollout, kAdvantages, {3, 16, "grpo", true}, nullptr);
  ASSERT_EQ(batches.size(), 2u);
  const auto& b = batches[0];
  EXPECT_EQ(b.documents(), 3);
  EXPECT_EQ(b.cu_seqlens, (std::vector<int32_t>{0, 4, 9, 15}));
  EXPECT_EQ(b.targets[2], 4);  // the prompt's last token predicts the completion's first
  EXPECT_EQ(b.old_logprob[2], rollout.samples[0].logprobs[0]);
  EXPECT_EQ(b.loss_weight[1], 0.0f);
  EXPECT_FLOAT_EQ(b.loss_weight[2], 0.5f);
  EXPECT_EQ(b.positions[4], 0);
  for (float w : batches[1].loss_weight) EXPECT_EQ(w, 0.0f);  // truncated and masked
}

TEST(GrpoBatch, ShuffleIsAPermutationBySeed) {
  const auto rollout = small_rollout();
  const uint64_t seed = 9;
  const auto a = make_batches(rollout, kAdvantages, {4, 16, "dapo", false}, &seed).at(0),
             b = make_batches(rollout, kAdvantages, {4, 16, "dapo", false}, &seed).at(0);
  EXPECT_EQ(a.ids, b.ids);
  auto order = a.document;
  std::sort(order.begin(), order.end());
  EXPECT_EQ(order, (std::vector<int32_t>{0, 1, 2, 3}));
}

TEST(ProblemOrder, EveryPassIsAPermutationAndRolloutsContinueIt) {
  std::vector<int64_t> seen;
  for (int64_t r = 0; r < 5; ++r)
    for (int64_t p : problem_order(10, 4, r, 7)) seen.push_back(p);
  for (int pass = 0; pass < 2; ++pass) {
    std::vector<int64_t> part(seen.begin() + pass * 10, seen.begin() + (pass + 1) * 10);
    std::sort(part.begin(), part.end());
    for (int64_t i = 0; i < 10; ++i) EXPECT_EQ(part[size_t(i)], i);
  }
  EXPECT_NE(std::vector<int64_t>(seen.begin(), seen.begin() + 10), std::vector<int64_t>(seen.begin() + 10, seen.begin() + 20));
}

}  // namespace
}  // namespace r1::stages
