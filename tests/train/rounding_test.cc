// Weights that are rounded while their masters are trained.
#include <gtest/gtest.h>

#include <stdexcept>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"
#include "r1/train/checkpoint.h"
#include "tests/train/train_testing.h"

namespace r1::train {
namespace {

constexpr int64_t kSteps = 12;

// Matrices to multiples of 1/32.
WeightRounding to_32nds() {
  return {.applies = [](const model::WeightRow& row) { return row.kind == model::WeightKind::kMatrix; },
          .round = [](const model::WeightRow& row) { row.tensor->mul_(32).round_().div_(32); }};
}

TrainerConfig rounded_training() {
  TrainerConfig config = tiny_training();
  config.quantize_training = "int4";
  return config;
}

struct Session {
  explicit Session(TrainerConfig config = rounded_training(), WeightRounding rounding = to_32nds())
      : model(tiny_model(1, config.bf16 ? at::kBFloat16 : at::kFloat)), trainer(*model, config, kSteps, 1, nullptr, std::move(rounding)) {}
  std::unique_ptr<model::Transformer> model;
  Trainer trainer;

  std::vector<Tensor> weights() const {
    std::vector<Tensor> all;
    for (const model::WeightRow& row : model->weights()) all.push_back(row.tensor->detach().clone());
    return all;
  }
  std::map<std::string, Tensor> state() {
    std::map<std::string, Tensor> all;
    for (const auto& [name, tensor] : trainer.state_tensors()) all[name] = tensor.clone();
    return all;
  }
};

bool on_grid(const Tensor& w) {
  return (w * 32).eq((w * 32).round()).all().item<bool>();
}

bool same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Tensor& x, const Tensor& y) { return x.equal(y); });
}

TEST(Rounding, TheModelComputesWithRoundedWeightsAndMastersMove) {
  for (const std::string optim : {"adamw", "muon"}) {
    for (const bool bf16 : {false, true}) {
      TrainerConfig config = rounded_training();
      config.optim = optim;
      config.bf16 = bf16;
      Session run(config);
      const auto before = run.state();
      const auto results = train_steps(run.trainer, 4);
      EXPECT_LT(results.back().loss, results.front().loss);
      const auto after = run.state();
      int rounded = 0;
      for (const model::WeightRow& row : run.model->weights()) {
        if (row.kind != model::WeightKind::kMatrix) continue;
        ++rounded;
        const Tensor master = after.at(row.hf_name + ".master");
        EXPECT_TRUE(on_grid(*row.tensor)) << row.name;
        EXPECT_FALSE(on_grid(master)) << row.name;
        EXPECT_FALSE(master.equal(before.at(row.hf_name + ".master"))) << row.name;
        // Less than half a step of the grid away (and of bf16).
        EXPECT_LE((master - *row.tensor).abs().max().item<double>(), 1.0 / 64 + 1e-3) << row.name;
      }
      EXPECT_GT(rounded, 5);
    }
  }
}

// Steps far smaller than the grid's add up in the master until the weight turns over: without one nothing would ever move.
TEST(Rounding, SmallStepsAddUp) {
  TrainerConfig config = rounded_training();
  config.learning_rate = 1e-3;  // AdamW moves a weight by about that; a step of the grid is 31 times as much
  config.lr_scheduler_type = "constant";
  config.warmup_steps = 0, config.weight_decay = 0;
  Session run(config);
  const auto first = run.weights();
  train_steps(run.trainer, 1);
  const auto second = run.weights();
  train_steps(run.trainer, kSteps);
  const auto last = run.weights();
  int64_t at_once = 0, in_the_end = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    if (run.model->weights()[i].kind != model::WeightKind::kMatrix) continue;
    at_once += first[i].ne(second[i]).sum().item<int64_t>(), in_the_end += first[i].ne(last[i]).sum().item<int64_t>();
  }
  EXPECT_GT(in_the_end, 4 * at_once);
}

TEST(Rounding, AResumedRunIsTheRunThatWasNeverStopped) {
  for (const bool bf16 : {false, true}) {
    const TemporaryFolder folder("train_rounding");
    TrainerConfig config = rounded_training();
    config.bf16 = bf16;
    Session whole(config);
    const auto expected = losses_of(train_steps(whole.trainer, kSteps));
    Session first(config);
    auto losses = losses_of(train_steps(first.trainer, 5));
    const auto before_saving = first.weights();
    const auto checkpoint = save_checkpoint(folder.path(), first.trainer, {}, {});
    EXPECT_TRUE(same(before_saving, first.weights()));  // rounded again
    // As a model it is the masters, in the model's dtype.
    const auto loaded = model::load_model(checkpoint, at::kCPU, config.bf16 ? at::kBFloat16 : at::kFloat);
    const auto state = first.state();
    for (const model::WeightRow& row : loaded->weights()) {
      if (row.kind != model::WeightKind::kMatrix) continue;
      EXPECT_TRUE(row.tensor->equal(state.at(row.hf_name + ".master").to(row.tensor->scalar_type()))) << row.name;
    }
    Session second(config);
    load_checkpoint(checkpoint, second.trainer);
    EXPECT_TRUE(same(before_saving, second.weights()));
    for (const double loss : losses_of(train_steps(second.trainer, kSteps))) losses.push_back(loss);
    EXPECT_EQ(losses, expected);
    EXPECT_TRUE(same(whole.weights(), second.weights()));
  }
}

TEST(Rounding, IsBackWhenASaveFails) {
  Session run;
  train_steps(run.trainer, 2);
  const auto before = run.weights();
  EXPECT_THROW(run.trainer.with_masters([&] {
    EXPECT_FALSE(same(before, run.weights()));
    throw std::runtime_error("disk full");
  }),
               std::runtime_error);
  EXPECT_TRUE(same(before, run.weights()));
}

// Zeros that a prune made are the masters'; a weight that was only rounded to zero learns on.
TEST(Rounding, KeepZerosHoldsTheMastersZeros) {
  TrainerConfig config = rounded_training();
  config.keep_zeros = true;
  config.weight_decay = 0;
  auto model = tiny_model();
  model->weights()[2].tensor->detach().view({-1}).narrow(0, 0, 10).zero_();
  ASSERT_EQ(model->weights()[2].kind, model::WeightKind::kMatrix);
  Trainer trainer(*model, config, kSteps, 1, nullptr, to_32nds());
  const auto master = [&] {
    for (const auto& [name, tensor] : trainer.state_tensors())
      if (name == model->weights()[2].hf_name + ".master") return tensor.view({-1}).clone();
    return Tensor();
  };
  const Tensor before = master();
  const Tensor to_zero = model->weights()[2].tensor->detach().view({-1}).eq(0);
  ASSERT_GT(to_zero.sum().item<int64_t>(), 100);  // an initial deviation of 0.02 and steps of 0.03
  train_steps(trainer, kSteps);
  const Tensor after = master();
  EXPECT_EQ(after.eq(0).sum().item<int64_t>(), 10);
  EXPECT_TRUE(after.narrow(0, 0, 10).eq(0).all().item<bool>());
  EXPECT_GT(after.ne(before).sum().item<int64_t>(), after.numel() / 2);
}

TEST(Rounding, IsNeitherForgottenNorUnasked) {
  const auto model = tiny_model();
  EXPECT_THROW(Trainer(*model, rounded_training(), 1, 1), Error);
  EXPECT_THROW(Trainer(*model, tiny_training(), 1, 1, nullptr, to_32nds()), Error);
}

}  // namespace
}  // namespace r1::train
