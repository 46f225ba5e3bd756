// Training a network of experts: the metrics of a step, the rule that evens the load, resuming.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"
#include "r1/train/checkpoint.h"
#include "r1/train/layer_metrics.h"
#include "tests/train/train_testing.h"

namespace r1::train {
namespace {

model::ModelConfig experts_config() {
  model::ModelConfig c = tiny_config();
  c.moe = {.n_routed_experts = 8, .n_shared_experts = 1, .num_experts_per_tok = 2, .moe_intermediate_size = 16, .first_k_dense_replace = 1};
  c.moe.bias_update_speed = 0.01;
  return c;
}

std::unique_ptr<model::Transformer> experts_model(const model::ModelConfig& config, uint64_t seed = 1) {
  auto m = std::make_unique<model::Transformer>(config, at::kCPU, at::kFloat);
  m->init_weights(seed);
  return m;
}

TEST(LayerMetrics, ByHand) {
  const auto model = experts_model(experts_config());
  {
    const at::NoGradGuard no_grad;
    model::find_weight(model->weights(), "layers.2.mlp.router_bias").tensor->copy_(aten::arange(8) * 0.5);
  }
  nn::ForwardRecord record;
  EXPECT_TRUE(layer_metrics(record, model->weights()).empty()) << "a dense network says nothing";
  record.add("layers.1.mlp.load", aten::tensor({1.0f, 3.0f}));
  record.add("layers.1.mlp.balance_loss", aten::tensor(1.25));
  record.add("layers.2.mlp.load", aten::tensor({5.0f, 5.0f}));
  record.add("layers.2.mlp.balance_loss", aten::tensor(0.75));
  const std::map<std::string, double> want{{"moe/max_load_over_mean", 1.5},
                                           {"moe/max_load_over_mean/1", 1.5},
                                           {"moe/max_load_over_mean/2", 1},
                                           {"moe/balance_loss", 1},
                                           {"moe/bias_range", 3.5}};
  EXPECT_EQ(layer_metrics(record, model->weights()), want);
}

TEST(Experts, LearnAndAreBitwiseReproducible) {
  for (const char* optim : {"adamw", "muon"}) {
    TrainerConfig config = tiny_training();
    config.optim = optim;
    std::vector<std::vector<double>> losses;
    for (int run = 0; run < 2; ++run) {
      const auto model = experts_model(experts_config());
      Trainer trainer(*model, config, 30, 5);
      const std::vector<StepResult> results = train_steps(trainer, 30);
      losses.push_back(losses_of(results));
      for (const StepResult& r : results) {
        EXPECT_EQ(r.layers.size(), 5u);
        EXPECT_GE(r.layers.at("moe/max_load_over_mean"), 1);
      }
      EXPECT_GT(results.back().layers.at("moe/bias_range"), 0.01);
    }
    EXPECT_EQ(losses[0], losses[1]) << optim;
    EXPECT_LT(losses[0].back(), 0.8 * losses[0].front()) << optim;
  }
}

// A router that begins by sending nearly everything to two experts.
TEST(Experts, TheBiasEvensTheLoad) {
  double with_rule = 0, without = 0;
  for (const double speed : {0.005, 0.0}) {
    model::ModelConfig c = experts_config();
    c.moe.bias_update_speed = speed;
    const auto model = experts_model(c);
    TrainerConfig config = tiny_training();
    config.learning_rate = 1e-4;
    Trainer trainer(*model, config, 60, 5);
    {
      const at::NoGradGuard no_grad;
      for (const char* name : {"layers.1.mlp.router_bias", "layers.2.mlp.router_bias"})
        model::find_weight(model->weights(), name).tensor->narrow(0, 0, 2).fill_(0.3);
    }
    const std::vector<StepResult> results = train_steps(trainer, 60);
    EXPECT_GT(results[0].layers.at("moe/max_load_over_mean"), 3);
    double& end = speed > 0 ? with_rule : without;
    for (size_t i = 50; i < 60; ++i) end += results[i].layers.at("moe/max_load_over_mean") / 10;
  }
  EXPECT_LT(with_rule, 2.2);
  EXPECT_GT(without, 3);
}

TEST(Experts, AResumedRunGoesOnBitForBit) {
  const TemporaryFolder folder("experts_resume");
  const auto whole = experts_model(experts_config());
  Trainer trainer(*whole, tiny_training(), 12, 5);
  train_steps(trainer, 6);
  const auto saved = save_checkpoint(folder.path(), trainer, {}, {});
  const std::vector<double> want = losses_of(train_steps(trainer, 12));
  const auto again = experts_model(experts_config(), 99);
  Trainer resumed(*again, tiny_training(), 12, 5);
  load_checkpoint(saved, resumed);
  EXPECT_EQ(losses_of(train_steps(resumed, 12)), want);
  EXPECT_TRUE(aten::equal(*model::find_weight(again->weights(), "layers.2.mlp.router_bias").tensor,
                          *model::find_weight(whole->weights(), "layers.2.mlp.router_bias").tensor));
}

}  // namespace
}  // namespace r1::train
