// A step shared by ranks is the step of one process: losses, norms, counters and weights, for networks of each kind; and what a fault on one
// rank says on all.
#include <gtest/gtest.h>

#include "r1/base/file.h"
#include "r1/model/presets.h"
#include "r1/tensor/aten.h"
#include "tests/dist/processes.h"
#include "tests/train/train_testing.h"

namespace r1::train {
namespace {

using dist::AddScenario;
using dist::Group;
using dist::in_group;
using dist::Outcome;
using dist::Ranks;

constexpr int64_t kSteps = 20;
// 1 to 5 in turn: some ranks have less to do, some nothing at all.
int micro_batches(int64_t step) {
  return 1 + int(step % 5);
}

std::unique_ptr<model::Transformer> model_named(const std::string& name) {
  model::ModelConfig config = name == "llama" ? tiny_config() : model::preset(name);
  config.vocab_size = 96;
  auto m = std::make_unique<model::Transformer>(config, at::kCPU, at::kFloat);
  m->init_weights(3);
  return m;
}

TrainerConfig training() {
  TrainerConfig config = tiny_training();
  config.dropout = 0.1;
  return config;
}

LossSpec loss() {
  LossSpec spec = cross_entropy_loss();
  spec.mtp = true;
  return spec;
}

std::string weights_hash(model::Transformer& m) {
  Sha256 hash;
  for (const auto& row : m.weights()) {
    const Tensor x = row.tensor->detach().contiguous();
    hash.update({static_cast<const std::byte*>(x.const_data_ptr()), size_t(x.nbytes())});
  }
  return hash.hex();
}

Json step_json(const StepResult& r) {
  return {{"loss", r.loss}, {"grad_norm", r.grad_norm}, {"tokens", r.tokens}, {"layers", r.layers}, {"sums", r.metrics.sums}};
}

// What training gives: a line a step, the hash of the weights.
Json trained(const std::string& name, Group* group, const std::string& gradients = "plain") {
  const auto m = model_named(name);
  Trainer trainer(*m, training(), kSteps, 5, nullptr, {}, {group, gradients});
  Json steps = Json::array();
  for (int64_t step = 0; step < kSteps; ++step) {
    std::vector<data::Batch> mine;
    const auto all = step_batches(step, micro_batches(step));
    for (size_t i = group ? size_t(group->rank()) : 0; i < all.size(); i += group ? size_t(group->size()) : 1) mine.push_back(all[i]);
    steps.push_back(step_json(trainer.step(mine, loss())));
  }
  return {{"steps", steps}, {"weights", weights_hash(*m)}};
}

SCENARIO(train) {
  in_group(ranks, {.timeout = 60}, [&](Group& group) {
    const auto name = argument.substr(0, argument.find(' ')), gradients = argument.substr(argument.find(' ') + 1);
    Json result = trained(name, &group, gradients);
    for (const std::string& other : group.all_gather(result.dump())) EXPECT_EQ(other, result.dump());  // the same on every rank, to the bit
    result["bytes_sent"] = group.bytes_sent();
    if (group.rank() == 0) write_file_atomic(std::getenv("R1_TEST_FILE"), result.dump());
  });
}

Json trained_by(int64_t ranks, const std::string& name, const std::string& gradients = "plain") {
  const TemporaryFolder folder("train_parallel");
  const EnvironmentVariable file("R1_TEST_FILE", (folder.path() / "result.json").string());
  const Outcome outcome = dist::run_ranks("train", ranks, {}, name + " " + gradients);
  EXPECT_EQ(outcome.code, 0) << outcome.said;
  EXPECT_FALSE(outcome.left_behind);
  return outcome.code ? Json() : parse_json_file(folder.path() / "result.json");
}

void expect_close(const Json& got, const Json& want, double relative, const std::string& what) {
  EXPECT_NEAR(got.get<double>(), want.get<double>(), relative * std::max(1.0, std::abs(want.get<double>()))) << what;
}

TEST(Parallel, IsTheStepOfOneProcess) {
  for (const char* name : {"llama", "tiny-v3", "tiny-test-qwen3-moe"}) {
    const Json one = trained(name, nullptr);
    for (const int64_t size : {2, 4}) {
      const Json many = trained_by(size, name);
      ASSERT_EQ(many["steps"].size(), size_t(kSteps)) << name;
      for (size_t step = 0; step < size_t(kSteps); ++step) {
        const Json &got = many["steps"][step], &want = one["steps"][step];
        const std::string what = str(name, ", ", size, " ranks, step ", step);
        expect_close(got["loss"], want["loss"], 1e-5, what);
        expect_close(got["grad_norm"], want["grad_norm"], step == 0 ? 1e-5 : 1e-4, what);
        EXPECT_EQ(got["tokens"], want["tokens"]) << what;
        ASSERT_EQ(got["layers"].size(), want["layers"].size()) << what;
        for (const auto& [key, value] : want["layers"].items()) expect_close(got["layers"][key], value, 1e-2, what + " " + key);
        for (const auto& [key, value] : want["sums"].items()) expect_close(got["sums"][key], value, 1e-5, what + " " + key);
      }
    }
    EXPECT_EQ(trained_by(2, name)["weights"], trained_by(2, name)["weights"]) << name;  // and the same from run to run
  }
}

TEST(Parallel, GradientsCanBeSmaller) {
  const Json plain = trained_by(2, "llama"), bf16 = trained_by(2, "llama", "bf16"), sign = trained_by(2, "llama", "sign");
  const double first = plain["steps"][0]["loss"], last = plain["steps"].back()["loss"];
  EXPECT_LT(last, 0.9 * first);
  expect_close(bf16["steps"].back()["loss"], last, 1e-2, "bf16");
  EXPECT_LT(sign["steps"].back()["loss"].get<double>(), 0.95 * first);
}

SCENARIO(poisoned) {
  in_group(ranks, {.timeout = 60}, [&](Group& group) {
    const auto m = model_named("llama");
    Trainer trainer(*m, training(), kSteps, 5, nullptr, {}, {&group});
    LossSpec spec = loss();
    spec.loss = [inner = spec.loss, &group](const ForwardResult& f, double denominator, LossMetrics& metrics) {
      const Tensor value = inner(f, denominator, metrics);
      return group.rank() == 1 ? value * NAN : value;
    };
    const std::string before = weights_hash(*m);
    const StepResult result = trainer.step(step_batches(group.rank()), spec);
    EXPECT_TRUE(result.skipped);
    EXPECT_EQ(result.skip_reason.substr(0, 8), "rank 1: ") << result.skip_reason;
    EXPECT_EQ(weights_hash(*m), before);
    // A stop that one rank was asked for, all take.
    const StepResult stopped = trainer.step(step_batches(group.rank()), loss(), [&] { return group.rank() == 1; });
    EXPECT_TRUE(stopped.stopped);
    EXPECT_EQ(weights_hash(*m), before);
    EXPECT_EQ(trainer.global_step(), 1);
  });
}

TEST(Parallel, AFaultOnOneRankIsNamedOnAll) {
  const Outcome outcome = dist::run_ranks("poisoned", 2);
  EXPECT_EQ(outcome.code, 0) << outcome.said;
}

}  // namespace
}  // namespace r1::train
