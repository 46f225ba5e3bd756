#include "r1/train/trainer.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"
#include "tests/train/train_testing.h"

namespace r1::train {
namespace {

std::vector<double> losses_with(TrainerConfig config, uint64_t seed, int steps, at::ScalarType dtype = at::kFloat) {
  auto model = tiny_model(1, dtype);
  Trainer trainer(*model, config, steps, seed);
  return losses_of(train_steps(trainer, steps));
}

TEST(Trainer, LearnsAndIsBitwiseReproducible) {
  for (const char* optim : {"adamw", "muon"}) {
    TrainerConfig config = tiny_training();
    config.optim = optim;
    config.dropout = 0.1;
    const std::vector<double> first = losses_with(config, 5, 40);
    EXPECT_LT(first.back(), 0.75 * first.front()) << optim;
    EXPECT_EQ(first, losses_with(config, 5, 40)) << optim;
    EXPECT_NE(first, losses_with(config, 6, 40)) << optim << ": the seed names the dropout masks";
  }
}

TEST(Trainer, ThreadsDoNotChangeABit) {
  const int before = at::get_num_threads();
  std::vector<std::vector<double>> losses;
  for (int threads : {1, 2}) {
    at::set_num_threads(threads);
    losses.push_back(losses_with(tiny_training(), 5, 12));
  }
  at::set_num_threads(before);
  EXPECT_EQ(losses[0], losses[1]);
}

TEST(Trainer, LossDoesNotDependOnTheCut) {
  // Six documents as one, two or six micro-batches: the same step up to rounding, though their token counts differ.
  Rng rng(3);
  std::vector<int> lengths{5, 40, 9, 17, 3, 26};
  std::vector<data::Batch> single;
  for (int length : lengths) single.push_back(documents(rng, {length}));
  const auto join = [&](size_t parts) {
    std::vector<data::Batch> joined(parts);
    for (size_t i = 0; i < single.size(); ++i) {
      data::Batch& batch = joined[i * parts / single.size()];
      const data::Batch& d = single[i];
      if (batch.cu_seqlens.empty()) batch.cu_seqlens.push_back(0);
      batch.ids.insert(batch.ids.end(), d.ids.begin(), d.ids.end());
      batch.targets.insert(batch.targets.end(), d.targets.begin(), d.targets.end());
      batch.loss_weight.insert(batch.loss_weight.end(), d.loss_weight.begin(), d.loss_weight.end());
      batch.positions.insert(batch.positions.end(), d.positions.begin(), d.positions.end());
      batch.cu_seqlens.push_back(int32_t(batch.ids.size()));
    }
    return joined;
  };
  std::vector<StepResult> results;
  for (size_t parts : {1, 2, 6}) {
    auto model = tiny_model();
    Trainer trainer(*model, tiny_training(), 10, 1);
    const auto batches = join(parts);
    trainer.step(batches, cross_entropy_loss());
    results.push_back(trainer.step(batches, cross_entropy_loss()));
  }
  for (size_t i : {1, 2}) {
    EXPECT_NEAR(results[i].loss, results[0].loss, 1e-5);
    EXPECT_NEAR(results[i].grad_norm, results[0].grad_norm, 1e-4 * results[0].grad_norm);
    EXPECT_EQ(results[i].tokens, 100);
  }
}

TEST(Trainer, Bf16FollowsFp32AndKeepsMasters) {
  TrainerConfig config = tiny_training();
  const std::vector<double> full = losses_with(config, 5, 30);
  config.bf16 = true;
  const std::vector<double> half = losses_with(config, 5, 30, at::kBFloat16);
  for (size_t i = 0; i < full.size(); ++i) EXPECT_NEAR(half[i], full[i], 0.05 * full[i]) << i;

  // Steps far below bf16's resolution must add up: only fp32 masters do that.
  config.learning_rate = 1e-6;
  config.lr_scheduler_type = "constant";
  config.warmup_steps = 0;
  auto model = tiny_model(1, at::kBFloat16);
  Trainer trainer(*model, config, 3, 1);
  std::vector<Tensor> before;
  for (auto& [name, tensor] : trainer.state_tensors()) before.push_back(tensor.clone());
  train_steps(trainer, 3);
  size_t i = 0, moved = 0, masters = 0;
  for (auto& [name, tensor] : trainer.state_tensors()) {
    const bool master = name.size() > 7 && name.substr(name.size() - 7) == ".master";
    masters += master;
    moved += master && !tensor.equal(before[i]);
    ++i;
  }
  EXPECT_EQ(masters, model->weights().size());
  EXPECT_EQ(moved, masters);
}

TEST(Trainer, DtypeMustMatchTheConfig) {
  auto model = tiny_model();
  TrainerConfig config;
  config.bf16 = true;
  EXPECT_THROW(Trainer(*model, config, 1, 1), Error);
}

TEST(Trainer, GradientCheckpointingChangesNothing) {
  TrainerConfig config = tiny_training();
  config.dropout = 0.2;  // the recomputed forward must draw the same masks
  const std::vector<double> plain = losses_with(config, 5, 8);
  config.gradient_checkpointing = true;
  EXPECT_EQ(plain, losses_with(config, 5, 8));
}

TEST(Trainer, ClipsToTheNorm) {
  // With a linear optimizer the update would show it; AdamW's first step does not depend on the gradient's size, so look at the first
  // moment.
  TrainerConfig config = tiny_training();
  config.max_grad_norm = 0.25;
  auto model = tiny_model();
  Trainer trainer(*model, config, 10, 1);
  const StepResult result = train_steps(trainer, 1)[0];
  ASSERT_GT(result.grad_norm, 0.25);
  double sum = 0;
  for (auto& [name, tensor] : trainer.state_tensors()) {
    if (name.find(".exp_avg_sq") == std::string::npos) sum += tensor.square().sum().item<double>();
  }
  EXPECT_NEAR(std::sqrt(sum), (1 - config.adam_beta1) * 0.25, 1e-5);
}

TEST(Trainer, OnlyMatricesDecay) {
  TrainerConfig config = tiny_training();
  config.weight_decay = 1;
  config.learning_rate = 0.1;
  config.warmup_steps = 0;
  auto model = tiny_model(1, at::kFloat, /*tied=*/false);
  std::vector<Tensor> before;
  for (auto& row : model->weights()) before.push_back(row.tensor->detach().clone());
  Trainer trainer(*model, config, 100, 1);
  LossSpec zero = cross_entropy_loss();  // no gradient at all: what moves, moves by decay
  zero.loss = [](const ForwardResult& f, double, LossMetrics&) { return (f.logprob_T * 0).sum(); };
  trainer.step(step_batches(0), zero);
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < before.size(); ++i) {
    const auto& row = model->weights()[i];
    const Tensor expected = row.kind == model::WeightKind::kMatrix ? before[i] * (1 - 0.1) : before[i];
    EXPECT_TRUE(row.tensor->allclose(expected, 1e-6, 1e-7)) << row.name;
  }
}

TEST(Trainer, MetricsAndEntropyReachTheLoss) {
  auto model = tiny_model();
  Trainer trainer(*model, tiny_training(), 10, 1);
  LossSpec spec = cross_entropy_loss();
  spec.want_entropy = true;
  const auto plain = spec.loss;
  spec.loss = [&](const ForwardResult& f, double denominator, LossMetrics& metrics) {
    metrics.sums["entropy"] += (f.entropy_T * f.loss_weight_T).sum().item<double>();
    metrics.sums["tokens"] += f.loss_weight_T.sum().item<double>();
    return plain(f, denominator, metrics);
  };
  const auto batches = step_batches(0, 3);
  double tokens = 0;
  for (const auto& b : batches) {
    for (float w : b.loss_weight) tokens += w;
  }
  StepResult result = trainer.step(batches, spec);
  EXPECT_EQ(result.metrics.sums["tokens"], tokens);
  EXPECT_NEAR(result.metrics.sums["entropy"] / tokens, std::log(96), 0.1) << "a new model is nearly uniform";
}

TEST(Trainer, VersionRisesAndLogprobsFollow) {
  auto model = tiny_model();
  Trainer trainer(*model, tiny_training(), 10, 1);
  const auto batches = step_batches(0);
  const std::vector<float> before = trainer.logprobs(batches[0]);
  const int64_t version = model->version();
  const StepResult result = trainer.step(batches, cross_entropy_loss());
  EXPECT_GT(model->version(), version);
  EXPECT_NE(before, trainer.logprobs(batches[0]));
  // The step's loss is that of the weights before it.
  double sum = 0, weight = 0;
  auto fresh = tiny_model();
  for (const auto& b : batches) {
    const std::vector<float> lp = batch_logprobs(*fresh, b);
    for (size_t t = 0; t < lp.size(); ++t) sum -= double(lp[t]) * b.loss_weight[t], weight += b.loss_weight[t];
  }
  EXPECT_NEAR(result.loss, sum / weight, 1e-5);
}

TEST(Trainer, StateRoundTrip) {
  for (const char* optim : {"adamw", "muon"}) {
    for (bool bf16 : {false, true}) {
      TrainerConfig config = tiny_training();
      config.optim = optim;
      config.bf16 = bf16;
      const auto dtype = bf16 ? at::kBFloat16 : at::kFloat;
      auto model = tiny_model(1, dtype);
      Trainer trainer(*model, config, 12, 1);
      train_steps(trainer, 6);
      std::vector<std::pair<std::string, Tensor>> state;
      for (auto& [name, tensor] : trainer.state_tensors()) state.emplace_back(name, tensor.clone());
      const Json json = trainer.state_json();
      auto other = tiny_model(2, dtype);
      {
        at::NoGradGuard no_grad;
        for (size_t i = 0; i < other->weights().size(); ++i) other->weights()[i].tensor->detach().copy_(*model->weights()[i].tensor);
      }
      Trainer resumed(*other, config, 12, 99);
      resumed.load_state(state, json);
      EXPECT_EQ(losses_of(train_steps(resumed, 12)), losses_of(train_steps(trainer, 12))) << optim << bf16;
      state.pop_back();
      EXPECT_THROW(resumed.load_state(state, json), Error);
    }
  }
}

TEST(Trainer, WrongBatchesAreNamed) {
  auto model = tiny_model();
  Trainer trainer(*model, tiny_training(), 10, 1);
  const auto message = [&](const std::function<void(data::Batch&)>& spoil) -> std::string {
    data::Batch batch = step_batches(0)[0];
    spoil(batch);
    try {
      trainer.step(std::span(&batch, 1), cross_entropy_loss());
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message([](auto& b) { b.ids[2] = 96; }).find("vocabulary of 96, got 96 at token 2"), std::string::npos);
  EXPECT_NE(message([](auto& b) { b.targets.pop_back(); }).find("of one length"), std::string::npos);
  EXPECT_NE(message([](auto& b) { b.cu_seqlens.back() -= 1; }).find("cu_seqlens"), std::string::npos);
}

data::Batch without_weights(data::Batch batch) {
  batch.loss_weight.assign(batch.loss_weight.size(), 0);
  return batch;
}

std::vector<Tensor> copies(const model::Transformer& model) {
  std::vector<Tensor> out;
  for (const auto& row : model.weights()) out.push_back(row.tensor->detach().clone());
  return out;
}

bool same(const std::vector<Tensor>& a, const model::Transformer& model) {
  for (size_t i = 0; i < a.size(); ++i)
    if (!a[i].equal(model.weights()[i].tensor->detach())) return false;
  return true;
}

TEST(Trainer, AStepWithoutLearnedTokensIsSkippedCountedAndNamed) {
  TrainerConfig config = tiny_training();
  config.max_consecutive_skips = 2;  // they are no faults, so they never add up to an end
  auto model = tiny_model();
  Trainer trainer(*model, config, 40, 1);
  train_steps(trainer, 2);
  const auto before = copies(*model);
  const std::vector<data::Batch> empty{without_weights(step_batches(0)[0]), without_weights(step_batches(0)[1])};
  LossSpec fixed = cross_entropy_loss();  // a loss whose denominator does not see that nothing is learned, as GRPO's
  fixed.weight = [](const data::Batch& batch) { return double(batch.documents()); };
  for (const LossSpec& spec : {cross_entropy_loss(), fixed}) {
    for (int i = 0; i < 6; ++i) {
      const StepResult result = trainer.step(empty, spec);
      EXPECT_TRUE(result.skipped);
      EXPECT_TRUE(result.empty);
      EXPECT_EQ(result.skip_reason, "no token to learn from (all loss weights are 0)");
      EXPECT_EQ(result.tokens, 0);
      EXPECT_GT(result.learning_rate, 0);
    }
  }
  EXPECT_EQ(trainer.global_step(), 14) << "schedule and data order go on";
  EXPECT_EQ(trainer.empty_steps(), 12);
  EXPECT_EQ(trainer.skipped_steps(), 0) << "those are for NaN and Inf";
  EXPECT_TRUE(same(before, *model)) << "no update, not by momentum or decay either";
  // One batch of the step with something to learn is enough, and the empty one counts for nothing.
  const auto batch = step_batches(20)[0];
  auto other = tiny_model(), alone = tiny_model();
  Trainer mixed(*other, config, 40, 1), plain(*alone, config, 40, 1);
  const std::vector<data::Batch> with_empty{without_weights(batch), batch};
  EXPECT_EQ(mixed.step(with_empty, cross_entropy_loss()).loss, plain.step(std::span(&batch, 1), cross_entropy_loss()).loss);
  // The count goes on after a resume; a checkpoint of before it was counted has none.
  Json state = trainer.state_json();
  EXPECT_EQ(state.at("empty_steps"), 12);
  plain.load_state(trainer.state_tensors(), state);
  EXPECT_EQ(plain.empty_steps(), 12);
  state.erase("empty_steps");
  plain.load_state(trainer.state_tensors(), state);
  EXPECT_EQ(plain.empty_steps(), 0);
}

TEST(Trainer, WeightsThatCancelAreAFaultOfTheBatch) {
  auto model = tiny_model();
  Trainer trainer(*model, tiny_training(), 10, 1);
  data::Batch batch = step_batches(0)[0];
  batch.loss_weight.assign(batch.loss_weight.size(), 0);
  batch.loss_weight[0] = 1, batch.loss_weight[1] = -1;
  EXPECT_THROW(trainer.step(std::span(&batch, 1), cross_entropy_loss()), Error);
}

TEST(Trainer, AStopBetweenMicroBatchesIsAsIfTheStepHadNotBegun) {
  for (bool bf16 : {false, true}) {
    TrainerConfig config = tiny_training();
    config.bf16 = bf16;
    config.dropout = 0.1;
    const auto dtype = bf16 ? at::kBFloat16 : at::kFloat;
    auto model = tiny_model(1, dtype), untouched = tiny_model(1, dtype);
    Trainer trainer(*model, config, 6, 1), straight(*untouched, config, 6, 1);
    train_steps(trainer, 2);
    train_steps(straight, 2);
    const auto before = copies(*model);
    const int64_t version = model->version();
    for (int at = 0; at < 3; ++at) {
      int asked = 0;
      const StepResult result = trainer.step(step_batches(2, 3), cross_entropy_loss(), [&] { return asked++ == at; });
      EXPECT_TRUE(result.stopped);
      EXPECT_FALSE(result.skipped);
      EXPECT_EQ(asked, at + 1);
      EXPECT_EQ(trainer.global_step(), 2);
      EXPECT_EQ(model->version(), version);
      EXPECT_TRUE(same(before, *model));
      for (const auto& row : model->weights()) EXPECT_FALSE(row.tensor->grad().defined()) << row.name;
    }
    int asked = 0;
    const StepResult whole = trainer.step(step_batches(2), cross_entropy_loss(), [&] { return ++asked > 2; });
    EXPECT_FALSE(whole.stopped) << "asked before each micro-batch, not after the last";
    EXPECT_EQ(asked, 2);
    train_steps(straight, 3);
    EXPECT_EQ(losses_of(train_steps(trainer, 6)), losses_of(train_steps(straight, 6))) << bf16;
  }
}

TEST(Trainer, SumsAddUpOverMicroBatchesAndMaximaDoNot) {
  auto model = tiny_model();
  Trainer trainer(*model, tiny_training(), 10, 1);
  LossSpec spec = cross_entropy_loss();
  const auto plain = spec.loss;
  double value = -5;
  spec.loss = [&](const ForwardResult& f, double denominator, LossMetrics& metrics) {
    metrics.sums["batches"] += 1;
    metrics.raise("largest", value);
    value = value == -5 ? -2 : -9;
    return plain(f, denominator, metrics);
  };
  const StepResult result = trainer.step(step_batches(0, 3), spec);
  EXPECT_EQ(result.metrics.sums, (std::map<std::string, double>{{"batches", 3}}));
  EXPECT_EQ(result.metrics.maxima, (std::map<std::string, double>{{"largest", -2}})) << "not 0, which no batch had";
}

}  // namespace
}  // namespace r1::train
