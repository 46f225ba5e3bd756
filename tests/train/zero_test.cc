// Ranks that share the optimizer's state (zero 1) and the gradients (zero 2) give the step of one process: losses, every gradient, every
// weight; in an N-th of the state.
#include <gtest/gtest.h>

#include <cmath>

#include "r1/base/file.h"
#include "r1/model/presets.h"
#include "r1/tensor/aten.h"
#include "tests/dist/processes.h"
#include "tests/message_of.h"
#include "tests/train/train_testing.h"

namespace r1::train {
namespace {

using dist::AddScenario;
using dist::Group;
using dist::in_group;
using dist::Outcome;
using dist::Ranks;

constexpr int64_t kZeroSteps = 20;

std::unique_ptr<model::Transformer> zero_model(const std::string& name, at::ScalarType dtype = at::kFloat) {
  model::ModelConfig config = name == "llama" ? tiny_config() : model::preset(name);
  config.vocab_size = 96;
  auto m = std::make_unique<model::Transformer>(config, at::kCPU, dtype);
  m->init_weights(3);
  return m;
}

// epsilon: an element whose gradient is mere rounding must not take a whole step of the learning rate, another one on each side.
TrainerConfig zero_training(const std::string& optim) {
  TrainerConfig config = tiny_training();
  config.optim = optim;
  config.dropout = 0.1;
  config.adam_epsilon = 1e-4;
  config.muon_learning_rate = 2e-3;
  return config;
}

LossSpec zero_loss() {
  LossSpec spec = cross_entropy_loss();
  spec.mtp = true;
  return spec;
}

// 1 to 5 micro-batches in turn: some ranks have less to do, some nothing at all.
std::vector<data::Batch> all_of_step(int64_t step) {
  return step_batches(step, 1 + int(step % 5));
}
std::vector<data::Batch> own_of_step(int64_t step, const Group& group) {
  std::vector<data::Batch> mine;
  const auto all = all_of_step(step);
  for (size_t i = size_t(group.rank()); i < all.size(); i += size_t(group.size())) mine.push_back(all[i]);
  return mine;
}

// Relative to the largest element: what a sum's order does to an element is a matter of the terms, not of the sum.
void expect_near(const Tensor& got, const Tensor& want, double relative, const std::string& what) {
  const double largest = want.abs().max().item<double>(), off = (got - want).abs().max().item<double>();
  EXPECT_LE(off, relative * largest) << what;
}

void expect_same_weights(const model::Transformer& got, const model::Transformer& want, const std::string& what) {
  for (size_t i = 0; i < want.weights().size(); ++i)
    expect_near(got.weights()[i].tensor->detach(), want.weights()[i].tensor->detach(), 1e-5, what + " " + want.weights()[i].name);
}

// After one step the first moment (the momentum) is the step's gradient times a number.
void expect_same_gradients(Trainer& got, Trainer& want, const std::string& what) {
  std::map<std::string, Tensor> whole;
  for (const auto& [name, tensor] : want.state_tensors()) whole[name] = tensor;
  for (const StateSlot& slot : got.state_slots()) {
    if (slot.own.size() == 0) continue;
    const Tensor own = whole.at(slot.name).reshape(-1).narrow(0, slot.own.begin, slot.own.size());
    const double largest = whole.at(slot.name).abs().max().item<double>();
    EXPECT_LE((slot.part.reshape(-1) - own).abs().max().item<double>(), 1e-5 * largest) << what << " " << slot.name;
  }
}

double state_bytes(Trainer& trainer) {
  double bytes = 0;
  for (const auto& [name, tensor] : trainer.state_tensors()) bytes += double(tensor.nbytes());
  return bytes;
}

void expect_shares_of_state(Trainer& shared, Trainer& alone, Group& group, const std::string& optim) {
  const double whole = state_bytes(alone), mine = state_bytes(shared), even = whole / double(group.size());
  double sum[1] = {mine};
  group.all_reduce(sum);
  EXPECT_EQ(sum[0], whole);
  // Elements are even to a few; Muon's matrices to about one of them.
  double largest = 0;
  for (const auto& row : alone.model().weights()) largest = std::max(largest, double(row.tensor->nbytes()));
  EXPECT_LE(std::abs(mine - even), optim == "muon" ? 2 * largest : 256) << optim;
}

std::string hash_of(model::Transformer& m) {
  Sha256 hash;
  for (const auto& row : m.weights()) {
    const Tensor x = row.tensor->detach().contiguous();
    hash.update({static_cast<const std::byte*>(x.const_data_ptr()), size_t(x.nbytes())});
  }
  return hash.hex();
}

// Beside one process alone, ranks that share the state and ranks that share the gradients too; the hashes of their weights after 5 steps.
Json trained_as_alone(Group& group, const std::string& name, const std::string& optim, int64_t steps) {
  const auto one = zero_model(name), state = zero_model(name), both = zero_model(name);
  const TrainerConfig config = zero_training(optim);
  Trainer alone(*one, config, kZeroSteps, 5);
  Trainer zero_1(*state, config, kZeroSteps, 5, nullptr, {}, {&group, "plain", 1}),
      zero_2(*both, config, kZeroSteps, 5, nullptr, {}, {&group, "plain", 2});
  for (Trainer* shared : {&zero_1, &zero_2}) expect_shares_of_state(*shared, alone, group, optim);
  Json hashes = Json::array();
  for (int64_t step = 0; step < steps; ++step) {
    const StepResult want = alone.step(all_of_step(step), zero_loss());
    for (Trainer* shared : {&zero_1, &zero_2}) {
      const StepResult got = shared->step(own_of_step(step, group), zero_loss());
      const std::string here = str(name, ", ", optim, ", zero ", shared == &zero_1 ? 1 : 2, ", ", group.size(), " ranks, step ", step);
      EXPECT_NEAR(got.loss, want.loss, 1e-5 * std::max(1.0, want.loss)) << here;
      EXPECT_NEAR(got.grad_norm, want.grad_norm, (step == 0 ? 1e-5 : 1e-4) * std::max(1.0, want.grad_norm)) << here;
      EXPECT_EQ(got.tokens, want.tokens) << here;
      if (step == 0) expect_same_gradients(*shared, alone, here);
      if (step < 3) expect_same_weights(shared->model(), *one, here);
      if (step == 4) hashes.push_back(hash_of(shared->model()));
    }
  }
  return hashes;
}

// "llama 20": the network and the steps.
SCENARIO(zero) {
  in_group(ranks, {.timeout = 60}, [&](Group& group) {
    const std::string name = argument.substr(0, argument.find(' '));
    const int64_t steps = std::stoll(argument.substr(argument.find(' ')));
    Json hashes;
    for (const char* optim : {"adamw", "muon"}) hashes[optim] = trained_as_alone(group, name, optim, steps);
    for (const std::string& other : group.all_gather(hashes.dump())) EXPECT_EQ(other, hashes.dump());  // the same on every rank, to the bit
    if (group.rank() == 0) write_file_atomic(std::getenv("R1_TEST_FILE"), hashes.dump());
  });
}

Json hashes_of(int64_t size, const std::string& argument) {
  const TemporaryFolder folder("zero");
  const EnvironmentVariable file("R1_TEST_FILE", (folder.path() / "hashes.json").string());
  const Outcome outcome = dist::run_ranks("zero", size, {}, argument);
  EXPECT_EQ(outcome.code, 0) << outcome.said;
  EXPECT_FALSE(outcome.left_behind);
  return outcome.code ? Json() : parse_json_file(folder.path() / "hashes.json");
}

TEST(Zero, IsTheStepOfOneProcessInAnNthOfTheState) {
  const Json once = hashes_of(2, str("llama ", kZeroSteps));
  EXPECT_EQ(once, hashes_of(2, "llama 5"));  // from run to run, to the bit
  hashes_of(4, str("llama ", kZeroSteps));
  hashes_of(2, "tiny-v3 3");  // stacked experts, a router's bias that no gradient moves, multi-token prediction
}

// What is trained beside plain fp32, against ranks that share nothing: the same sums, so nearly the same bits.
SCENARIO(zero_kinds) {
  in_group(ranks, {.timeout = 60}, [&](Group& group) {
    for (const char* optim : {"adamw", "muon"}) {
      TrainerConfig bf16 = zero_training(optim), zeros = zero_training(optim);
      bf16.bf16 = true;
      bf16.gradient_checkpointing = true;
      zeros.keep_zeros = true;
      for (const TrainerConfig& config : {bf16, zeros}) {
        for (const int64_t zero : {1, 2}) {
          const std::string what = str(optim, config.bf16 ? " bf16" : " zeros", ", zero ", zero);
          const auto dtype = config.bf16 ? at::kBFloat16 : at::kFloat;
          const auto one = zero_model("llama", dtype), many = zero_model("llama", dtype);
          for (auto* m : {one.get(), many.get()}) {
            const Tensor gate = model::find_weight(m->weights(), "layers.1.mlp.gate").tensor->detach();
            gate.mul_(aten::remainder(aten::arange(gate.numel(), at::kFloat), 3).ne(0).view(gate.sizes()));
          }
          Trainer whole(*one, config, 6, 5, nullptr, {}, {&group}), shared(*many, config, 6, 5, nullptr, {}, {&group, "plain", zero});
          for (int64_t step = 0; step < 6; ++step) {
            const double want = whole.step(own_of_step(step, group), zero_loss()).loss;
            EXPECT_NEAR(shared.step(own_of_step(step, group), zero_loss()).loss, want, (config.bf16 ? 1e-3 : 1e-5) * want) << what;
          }
          const Tensor gate = model::find_weight(many->weights(), "layers.1.mlp.gate").tensor->detach();
          const Tensor zero_now = gate.eq(0).view(-1), zero_then = aten::remainder(aten::arange(gate.numel(), at::kFloat), 3).eq(0);
          EXPECT_EQ(zero_now.equal(zero_then), !config.bf16) << what;
        }
      }
    }
    // bf16 on the wire.
    const auto m = zero_model("llama");
    Trainer trainer(*m, zero_training("adamw"), 6, 5, nullptr, {}, {&group, "bf16", 2});
    double first = 0, last = 0;
    for (int64_t step = 0; step < 6; ++step) (step == 0 ? first : last) = trainer.step(step_batches(group.rank()), zero_loss()).loss;
    EXPECT_LT(last, first);
  });
}

TEST(Zero, TrainsBf16AndKeepsZeros) {
  const Outcome outcome = dist::run_ranks("zero_kinds", 2);
  EXPECT_EQ(outcome.code, 0) << outcome.said;
}

SCENARIO(zero_faults) {
  in_group(ranks, {.timeout = 60}, [&](Group& group) {
    for (const int64_t zero : {1, 2}) {
      const auto m = zero_model("llama");
      Trainer trainer(*m, zero_training("adamw"), kZeroSteps, 5, nullptr, {}, {&group, "plain", zero});
      // A loss that is a number, with a gradient that is none, on one rank.
      LossSpec spec = zero_loss();
      spec.loss = [inner = spec.loss, &group](const ForwardResult& f, double denominator, LossMetrics& metrics) {
        const Tensor value = inner(f, denominator, metrics);
        return group.rank() == 1 ? value + aten::sqrt(value - value.detach()) : value;
      };
      const std::string before = hash_of(*m);
      const StepResult result = trainer.step(step_batches(group.rank()), spec);
      EXPECT_TRUE(result.skipped);
      EXPECT_TRUE(std::isfinite(result.loss));
      EXPECT_TRUE(result.skip_reason.find(" in gradient of layers.") != std::string::npos) << result.skip_reason;
      for (const std::string& other : group.all_gather(result.skip_reason)) EXPECT_EQ(other, result.skip_reason);
      EXPECT_EQ(hash_of(*m), before);
      EXPECT_EQ(trainer.state_fault(), "");
      // A stop that one rank was asked for between its two micro-batches, all take.
      int asked = 0;
      const StepResult stopped = trainer.step(step_batches(group.rank()), zero_loss(), [&] { return group.rank() == 1 && ++asked == 2; });
      EXPECT_TRUE(stopped.stopped);
      EXPECT_EQ(hash_of(*m), before);
      EXPECT_EQ(trainer.global_step(), 1);
      const StepResult good = trainer.step(step_batches(group.rank()), zero_loss());
      EXPECT_FALSE(good.skipped);
      EXPECT_NE(hash_of(*m), before);
    }
    // An error in one rank's backward ends all, and says whose it is.
    const auto m = zero_model("llama");
    Trainer trainer(*m, zero_training("adamw"), kZeroSteps, 5, nullptr, {}, {&group, "plain", 2});
    LossSpec spec = zero_loss();
    spec.loss = [inner = spec.loss, &group](const ForwardResult& f, double denominator, LossMetrics& metrics) {
      if (group.rank() == 1) fail("rank 1 has no loss");
      return inner(f, denominator, metrics);
    };
    trainer.step(step_batches(group.rank()), spec);
  });
}

TEST(Zero, AFaultOnOneRankIsOneOnAll) {
  const Outcome outcome = dist::run_ranks("zero_faults", 2);
  EXPECT_EQ(outcome.code, 1) << outcome.said;
  EXPECT_FALSE(outcome.left_behind);
  EXPECT_TRUE(dist::contains(outcome.said, "error: rank 1 has no loss")) << outcome.said;
  EXPECT_TRUE(dist::contains(outcome.said, "ended: rank 1 has no loss")) << outcome.said;
}

TEST(Zero, WhatDoesNotGoTogetherIsSaid) {
  const auto m = zero_model("llama");
  Group alone;
  EXPECT_NE(message_of([&] {
              Trainer(*m, zero_training("adamw"), 6, 5, nullptr, {}, {&alone, "sign", 1});
            }).find("gradients as signs"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              Trainer(*m, zero_training("adamw"), 6, 5, nullptr, {}, {&alone, "plain", 3});
            }).find("zero 0, 1 or 2"),
            std::string::npos);
  // One process has nothing to share: the state stays whole.
  Trainer trainer(*m, zero_training("adamw"), 6, 5, nullptr, {}, {&alone, "plain", 2});
  for (const StateSlot& slot : trainer.state_slots()) EXPECT_EQ(slot.part.sizes(), at::IntArrayRef(slot.shape));
}

}  // namespace
}  // namespace r1::train
