// A training step on a device against the same step on the CPU, and what only a device does: the update is under way before the host knows
// of loss and norm, memory may run out.
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <cmath>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/dtype.h"
#include "r1/train/memory_advice.h"
#include "tests/cuda_device.h"
#include "tests/message_of.h"
#include "tests/train/train_testing.h"

namespace r1::train {
namespace {

std::unique_ptr<model::Transformer> model_on(at::Device device, at::ScalarType dtype) {
  auto m = std::make_unique<model::Transformer>(tiny_config(), device, dtype);
  m->init_weights(1);
  return m;
}

TrainerConfig config_of(at::ScalarType dtype, const char* optim = "adamw") {
  TrainerConfig config = tiny_training();
  config.bf16 = dtype == at::kBFloat16;
  config.optim = optim;
  return config;
}

std::vector<StepResult> steps_on(at::Device device, at::ScalarType dtype, const char* optim, int64_t steps, int micro_batches) {
  const auto model = model_on(device, dtype);
  Trainer trainer(*model, config_of(dtype, optim), steps, 1);
  std::vector<StepResult> results;
  while (trainer.global_step() < steps)
    results.push_back(trainer.step(step_batches(trainer.global_step(), micro_batches), cross_entropy_loss()));
  return results;
}

TEST(TrainerOnADevice, FollowsTheCpuCuda) {
  SKIP_WITHOUT_CUDA();
  for (const char* optim : {"adamw", "muon"}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      for (const int micro_batches : {1, 3}) {
        const auto here = steps_on(at::kCPU, dtype, optim, 20, micro_batches), there = steps_on(at::kCUDA, dtype, optim, 20, micro_batches);
        const double near = dtype == at::kFloat ? 2e-3 : 5e-2;
        for (size_t i = 0; i < here.size(); ++i) {
          EXPECT_NEAR(there[i].loss, here[i].loss, near * here[i].loss) << optim << " " << dtype << " " << micro_batches << " step " << i;
          EXPECT_EQ(there[i].tokens, here[i].tokens);
        }
        EXPECT_NEAR(there[0].loss, here[0].loss, (dtype == at::kFloat ? 1e-5 : 1e-2) * here[0].loss);
        EXPECT_NEAR(there[0].grad_norm, here[0].grad_norm, (dtype == at::kFloat ? 1e-3 : 5e-2) * here[0].grad_norm);
      }
    }
  }
}

void expect_bad_steps_leave_all_as_it_was(at::Device device, at::ScalarType dtype) {
  const auto model = model_on(device, dtype);
  Trainer trainer(*model, config_of(dtype), 20, 1);
  const auto take = [&] {
    std::vector<Tensor> all;
    for (const auto& row : model->weights()) all.push_back(row.tensor->detach().clone());
    for (const auto& [name, tensor] : trainer.state_tensors()) all.push_back(tensor.clone());
    return all;
  };
  trainer.step(step_batches(0), cross_entropy_loss());
  const std::vector<Tensor> before = take();
  const Json state = trainer.state_json();
  LossSpec bad_loss = cross_entropy_loss(), bad_gradient = cross_entropy_loss();
  bad_loss.loss = [](const ForwardResult& f, double, LossMetrics& metrics) {
    const Tensor term = (f.logprob_T * NAN).sum();
    metrics.later(term.detach().to(at::kDouble).view({1}), [](const double* v, LossMetrics& m) { m.terms["made up"] += *v; });
    return term;
  };
  bad_loss.nll = bad_gradient.nll = false;  // they look at each token's log-probability
  // sqrt at 0: the loss is finite, its derivative is not.
  bad_gradient.loss = [](const ForwardResult& f, double, LossMetrics&) { return (f.logprob_T * 0).sqrt().sum(); };
  const StepResult first = trainer.step(step_batches(1), bad_loss), second = trainer.step(step_batches(2), bad_gradient);
  EXPECT_TRUE(first.skipped && second.skipped);
  EXPECT_NE(first.skip_reason.find("NaN in the loss's made up term"), std::string::npos) << first.skip_reason;
  EXPECT_NE(second.skip_reason.find("in gradient of"), std::string::npos) << second.skip_reason;
  EXPECT_TRUE(std::isfinite(second.loss));
  const std::vector<Tensor> after = take();
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(aten::equal(after[i], before[i])) << i;
  EXPECT_EQ(trainer.state_json().at("updates"), state.at("updates")) << "a step that was no update does not count for the bias correction";
  EXPECT_EQ(trainer.global_step(), 3);
  EXPECT_EQ(trainer.skipped_steps(), 2);
  EXPECT_FALSE(trainer.step(step_batches(3), cross_entropy_loss()).skipped);
  EXPECT_EQ(trainer.state_json().at("updates"), state.at("updates").get<int64_t>() + 1);
}

TEST(TrainerOnADevice, BadStepsLeaveAllAsItWas) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) expect_bad_steps_leave_all_as_it_was(at::kCPU, dtype);
}
TEST(TrainerOnADevice, BadStepsLeaveAllAsItWasCuda) {
  SKIP_WITHOUT_CUDA();
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) expect_bad_steps_leave_all_as_it_was(at::kCUDA, dtype);
}

TEST(TrainerOnADevice, StateRoundTripCuda) {
  SKIP_WITHOUT_CUDA();
  for (const char* optim : {"adamw", "muon"}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      const auto model = model_on(at::kCUDA, dtype), other = model_on(at::kCUDA, dtype);
      Trainer trainer(*model, config_of(dtype, optim), 12, 1), resumed(*other, config_of(dtype, optim), 12, 99);
      train_steps(trainer, 6);
      std::vector<std::pair<std::string, Tensor>> state;
      for (const auto& [name, tensor] : trainer.state_tensors()) {
        EXPECT_TRUE(tensor.is_contiguous());
        state.emplace_back(name, tensor.to(at::kCPU));
      }
      {
        const at::NoGradGuard no_grad;
        for (size_t i = 0; i < other->weights().size(); ++i) other->weights()[i].tensor->detach().copy_(*model->weights()[i].tensor);
      }
      resumed.load_state(state, trainer.state_json());
      for (size_t i = 0; i < state.size(); ++i) EXPECT_TRUE(aten::equal(resumed.state_tensors()[i].second.to(at::kCPU), state[i].second));
      const auto a = losses_of(train_steps(resumed, 12)), b = losses_of(train_steps(trainer, 12));
      for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-2 * b[i]) << optim << dtype;
    }
  }
}

TEST(TrainerOnADevice, FewRowsWithoutAWeightCostNoChoiceOfRowsCuda) {
  SKIP_WITHOUT_CUDA();
  // 39 of 40 tokens are learned from, then 20 of 40: one goes whole through the head, the other by chosen rows.
  for (const int unlearned : {1, 20}) {
    Rng rng(4);
    data::Batch batch = documents(rng, {40});
    batch.loss_weight.assign(40, 1.0f);
    for (int t = 0; t < unlearned; ++t) batch.loss_weight[size_t(39 - t)] = 0;
    double loss[2], entropy[2];
    for (const at::Device device : {at::Device(at::kCPU), at::Device(at::kCUDA)}) {
      const auto model = model_on(device, at::kFloat);
      Trainer trainer(*model, config_of(at::kFloat), 4, 1);
      LossSpec spec = cross_entropy_loss();
      spec.want_entropy = true;
      const auto plain = spec.loss;
      spec.loss = [&](const ForwardResult& f, double denominator, LossMetrics& metrics) {
        metrics.later(f.entropy_T.sum().to(at::kDouble).view({1}), [](const double* v, LossMetrics& m) { m.sums["entropy"] += *v; });
        return plain(f, denominator, metrics);
      };
      StepResult r = trainer.step(std::span(&batch, 1), spec);
      loss[device.is_cuda()] = r.loss, entropy[device.is_cuda()] = r.metrics.sums["entropy"];
    }
    EXPECT_NEAR(loss[1], loss[0], 1e-5);
    EXPECT_NEAR(entropy[1], entropy[0], 1e-3) << "that of rows without a weight is 0";
  }
}

// ---- out of memory

TEST(OutOfMemory, BatchesAreCutBetweenDocuments) {
  Rng rng(2);
  data::Batch batch = documents(rng, {5, 40, 9, 17});
  batch.document = {7, 8, 9, 10};
  for (int64_t t = 0; t < batch.tokens(); ++t) batch.advantage.push_back(float(t)), batch.old_logprob.push_back(-float(t));
  const std::vector<data::Batch> alone{documents(rng, {12})};
  const std::vector<data::Batch> halves = halved(std::vector{batch, alone[0]});
  ASSERT_EQ(halves.size(), 3u);
  EXPECT_EQ(halves[0].cu_seqlens, (std::vector<int32_t>{0, 5, 45}));
  EXPECT_EQ(halves[1].cu_seqlens, (std::vector<int32_t>{0, 9, 26}));
  EXPECT_EQ(halves[0].document, (std::vector<int32_t>{7, 8}));
  EXPECT_EQ(halves[1].document, (std::vector<int32_t>{9, 10}));
  EXPECT_EQ(halves[1].advantage.front(), 45);
  EXPECT_EQ(halves[1].old_logprob.back(), -70);
  EXPECT_TRUE(halves[1].ref_logprob.empty());
  EXPECT_EQ(halves[1].positions[0], 0);
  std::vector<int32_t> ids = halves[0].ids;
  ids.insert(ids.end(), halves[1].ids.begin(), halves[1].ids.end());
  EXPECT_EQ(ids, batch.ids);
  EXPECT_EQ(halves[2].ids, alone[0].ids) << "one document stays whole";
}

// Throws as an allocator does, in the forward or in the backward, for batches of more than so many tokens.
LossSpec with_memory_for(int64_t tokens, int& failures) {
  LossSpec spec = cross_entropy_loss();
  const auto plain = spec.loss;
  spec.loss = [plain, tokens, &failures](const ForwardResult& f, double denominator, LossMetrics& metrics) {
    if (f.batch->tokens() > tokens) {
      ++failures;
      throw c10::OutOfMemoryError({__func__, __FILE__, uint32_t(__LINE__)}, "CUDA out of memory. Tried to allocate 2.00 GiB.");
    }
    return plain(f, denominator, metrics);
  };
  return spec;
}

TEST(OutOfMemory, TheStepIsDoneAgainInHalves) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const auto model = model_on(at::kCPU, dtype), roomy = model_on(at::kCPU, dtype);
    Trainer trainer(*model, config_of(dtype), 10, 1), straight(*roomy, config_of(dtype), 10, 1);
    int failures = 0;
    Rng rng(5);
    // The second micro-batch is the one that does not fit: the gradients of the first are there already.
    const std::vector<data::Batch> batches{documents(rng, {10, 10}), documents(rng, {20, 20, 30})};
    const StepResult want = straight.step(batches, cross_entropy_loss()), got = trainer.step(batches, with_memory_for(45, failures));
    EXPECT_EQ(failures, 1);
    EXPECT_FALSE(got.skipped);
    EXPECT_EQ(got.tokens, want.tokens) << "nothing is counted twice";
    EXPECT_NEAR(got.loss, want.loss, 1e-4 * want.loss);
    EXPECT_NEAR(got.grad_norm, want.grad_norm, 2e-2 * want.grad_norm);
    EXPECT_EQ(trainer.global_step(), 1);
    const double next = straight.step(step_batches(1), cross_entropy_loss()).loss;
    EXPECT_NEAR(trainer.step(step_batches(1), cross_entropy_loss()).loss, next, 1e-2 * next);
  }
}

TEST(OutOfMemory, OneDocumentIsNotTriedTwice) {
  const auto model = model_on(at::kCPU, at::kFloat);
  Trainer trainer(*model, config_of(at::kFloat), 10, 1);
  int failures = 0;
  Rng rng(5);
  const std::vector<data::Batch> batches{documents(rng, {20})};
  const std::string message = message_of([&] { trainer.step(batches, with_memory_for(5, failures)); });
  EXPECT_EQ(failures, 1);
  EXPECT_NE(message.find("at step 1: out of memory: CUDA out of memory. Tried"), std::string::npos) << message;
}

TEST(OutOfMemory, ASecondTimeStopsWithAPlan) {
  const auto model = model_on(at::kCPU, at::kFloat);
  Trainer trainer(*model, config_of(at::kFloat), 10, 1);
  int failures = 0;
  Rng rng(5);
  const std::vector<data::Batch> batches{documents(rng, {20, 20, 30})};
  const std::string message = message_of([&] { trainer.step(batches, with_memory_for(5, failures)); });
  EXPECT_EQ(failures, 2);
  EXPECT_NE(message.find("out of memory"), std::string::npos) << message;
  EXPECT_NE(message.find("70 tokens a micro-batch takes"), std::string::npos) << message;
  EXPECT_NE(message.find("--gradient_checkpointing"), std::string::npos) << message;
  for (const auto& row : model->weights()) EXPECT_FALSE(row.tensor->grad().defined()) << row.name;
  EXPECT_EQ(trainer.global_step(), 0);
}

}  // namespace
}  // namespace r1::train
