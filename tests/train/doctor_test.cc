#include "r1/train/doctor.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"
#include "tests/train/train_testing.h"

namespace r1::train {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

const model::WeightRow& row_named(model::Transformer& model, const std::string& part) {
  for (const auto& row : model.weights()) {
    if (row.name.find(part) != std::string::npos) return row;
  }
  fail("no row like ", part);
}

std::vector<Tensor> copies(model::Transformer& model) {
  std::vector<Tensor> out;
  for (const auto& row : model.weights()) out.push_back(row.tensor->detach().clone());
  return out;
}

void expect_equal(model::Transformer& model, const std::vector<Tensor>& copies) {
  for (size_t i = 0; i < copies.size(); ++i) EXPECT_TRUE(model.weights()[i].tensor->detach().equal(copies[i])) << model.weights()[i].name;
}

TEST(Doctor, NamesABadWeight) {
  for (float value : {kNaN, kInf}) {
    auto model = tiny_model();
    Trainer trainer(*model, tiny_training(), 10, 1);
    row_named(*model, "layers.1.mlp").tensor->detach().view(-1)[3] = value;
    const StepResult result = train_steps(trainer, 1)[0];
    EXPECT_TRUE(result.skipped);
    EXPECT_NE(result.skip_reason.find("in weight layers.1.mlp"), std::string::npos) << result.skip_reason;
    EXPECT_NE(result.skip_reason.find("first layer: 1"), std::string::npos) << result.skip_reason;
    EXPECT_EQ(result.skip_reason.substr(0, 3), std::isnan(value) ? "NaN" : "Inf");
  }
}

TEST(Doctor, NamesTheLayerWhereActivationsOverflow) {
  auto model = tiny_model();
  Trainer trainer(*model, tiny_training(), 10, 1);
  // Finite weights whose product is not: down(silu(gate) * up) of layer 2.
  for (const char* part : {"layers.2.mlp.up", "layers.2.mlp.down"}) row_named(*model, part).tensor->detach().fill_(3e38f);
  const auto before = copies(*model);
  const StepResult result = train_steps(trainer, 1)[0];
  EXPECT_TRUE(result.skipped);
  EXPECT_NE(result.skip_reason.find("layer 2 (first layer: 2)"), std::string::npos) << result.skip_reason;
  expect_equal(*model, before);
}

TEST(Doctor, BadLossWithGoodActivations) {
  auto model = tiny_model();
  Trainer trainer(*model, tiny_training(), 10, 1);
  const auto before = copies(*model);
  LossSpec spec = cross_entropy_loss();
  spec.loss = [](const ForwardResult& f, double, LossMetrics&) { return (f.logprob_T * kNaN).sum(); };
  const StepResult result = trainer.step(step_batches(0), spec);
  EXPECT_TRUE(result.skipped);
  EXPECT_NE(result.skip_reason.find("in the loss"), std::string::npos) << result.skip_reason;
  expect_equal(*model, before);
  EXPECT_EQ(trainer.global_step(), 1);
  EXPECT_EQ(trainer.skipped_steps(), 1);
}

TEST(Doctor, GradientsThroughEveryLayer) {
  // A finite loss whose derivative is not (sqrt at 0): bad from the head on.
  auto model = tiny_model(1, at::kFloat, /*tied=*/false);
  Trainer trainer(*model, tiny_training(), 10, 1);
  const auto before = copies(*model);
  LossSpec spec = cross_entropy_loss();
  spec.loss = [](const ForwardResult& f, double, LossMetrics&) { return (f.logprob_T * 0).sqrt().sum(); };
  const StepResult result = trainer.step(step_batches(0), spec);
  EXPECT_TRUE(result.skipped);
  EXPECT_NE(result.skip_reason.find("in gradient of"), std::string::npos) << result.skip_reason;
  expect_equal(*model, before);
}

TEST(Doctor, GradientOfOneTensor) {
  const char* parts[] = {"layers.0.attention.q", "layers.1.mlp.down", "layers.2.mlp.gate"};
  for (const char* part : parts) {
    for (at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      auto model = tiny_model(1, dtype);
      TrainerConfig config = tiny_training();
      config.bf16 = dtype == at::kBFloat16;
      Trainer trainer(*model, config, 10, 1);
      const auto before = copies(*model);
      const auto& row = row_named(*model, part);
      row.tensor->register_hook([](const Tensor& grad) {
        Tensor bad = grad.clone();
        bad.view(-1)[7] = kInf;
        return bad;
      });
      const StepResult result = train_steps(trainer, 1)[0];
      EXPECT_TRUE(result.skipped);
      const std::string layer(1, part[7]);
      EXPECT_NE(result.skip_reason.find(str("Inf in gradient of ", row.name, " (first layer: ", layer, "; 1 of ")), std::string::npos)
          << result.skip_reason;
      expect_equal(*model, before);
    }
  }
}

TEST(Doctor, StopsAfterSoManyInARow) {
  auto model = tiny_model();
  TrainerConfig config = tiny_training();
  config.max_consecutive_skips = 3;
  Trainer trainer(*model, config, 20, 1);
  LossSpec good = cross_entropy_loss(), bad = good;
  bad.loss = [](const ForwardResult& f, double, LossMetrics&) { return f.logprob_T.sum() * kInf; };
  for (int round = 0; round < 2; ++round) {  // a good step in between starts the count anew
    EXPECT_TRUE(trainer.step(step_batches(0), bad).skipped);
    EXPECT_TRUE(trainer.step(step_batches(0), bad).skipped);
    EXPECT_FALSE(trainer.step(step_batches(0), good).skipped);
  }
  trainer.step(step_batches(0), bad);
  trainer.step(step_batches(0), bad);
  try {
    trainer.step(step_batches(0), bad);
    FAIL() << "expected to stop";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("3 steps in a row"), std::string::npos) << error.what();
  }
  EXPECT_EQ(trainer.skipped_steps(), 7);
}

TEST(Doctor, PoisonedOptimizerStateIsNamed) {
  auto model = tiny_model();
  Trainer trainer(*model, tiny_training(), 10, 1);
  train_steps(trainer, 1);
  EXPECT_EQ(trainer.state_fault(), "");
  auto state = trainer.state_tensors();
  state[5].second.view(-1)[0] = kNaN;
  EXPECT_EQ(trainer.state_fault(), "NaN in optimizer state " + state[5].first);
}

}  // namespace
}  // namespace r1::train
