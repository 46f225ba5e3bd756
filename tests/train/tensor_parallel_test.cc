// Ranks that share a model's layers: every gradient, the losses of twenty steps, norms, checkpoints and faults, against one process.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <sstream>

#include "r1/base/file.h"
#include "r1/dist/mesh.h"
#include "r1/model/families.h"
#include "r1/model/presets.h"
#include "r1/model/shard.h"
#include "r1/ops/logprob.h"
#include "r1/tensor/aten.h"
#include "r1/train/checkpoint.h"
#include "r1/train/forward.h"
#include "tests/dist/processes.h"
#include "tests/message_of.h"
#include "tests/train/train_testing.h"

namespace r1::train {
namespace tensor_parallel {
namespace {

using dist::AddScenario;
using dist::Group;
using dist::in_group;
using dist::Mesh;
using dist::Outcome;
using dist::Ranks;

constexpr int64_t kTrained = 20;
const std::vector<std::string> kTrainedNetworks = {"llama", "llama untied", "tiny-v3", "tiny-test-qwen3-moe"};
const std::vector<std::string> kOtherNetworks = {"tiny-test-qwen2", "gpt2",   "gemma3_text",   "no query latent",
                                                 "blockwise",       "hybrid", "dynamic_window"};

// Of four heads, with two of keys and values where those may be fewer: four ranks hold them twice.
model::ModelConfig network(const std::string& name) {
  model::ModelConfig c = tiny_config(name != "llama untied");
  c.num_hidden_layers = 2;
  if (name.starts_with("tiny-")) c = model::preset(name);
  if (name == "no query latent") c = model::preset("tiny-v3"), c.mla.q_lora_rank = 0;
  if (name == "gpt2" || name == "gemma3_text") model::set_family(c, name);
  if (name == "gpt2") c.num_key_value_heads = c.num_attention_heads;
  if (name == "gemma3_text") c.num_key_value_heads = 1, c.attn.window = 7, c.attn.window_pattern = 2;
  if (name == "blockwise") c.attention = name, c.attn.block = 8;
  if (name == "hybrid") c.attention = name, c.attn.window = 5, c.attn.window_max = 9;
  if (name == "dynamic_window") c.attention = name, c.attn.window = 6;
  c.vocab_size = 96;
  return c;
}

Tensor noise(at::IntArrayRef shape, uint64_t seed) {
  Rng rng(seed);
  const Tensor t = aten::empty(shape, at::kFloat);
  for (int64_t i = 0; i < t.numel(); ++i) t.mutable_data_ptr<float>()[i] = float(rng.normal()) * 0.1f;
  return t;
}

// Over many steps: the choice of experts jumps where two scores are alike but for the order of a sum, so all of them are chosen.
model::ModelConfig without_choice(model::ModelConfig c) {
  c.moe.num_experts_per_tok = c.moe.n_routed_experts;
  c.moe.topk_group = c.moe.n_group;
  return c;
}

// Norms and biases that are not all alike, so that one which counts twice is seen.
std::unique_ptr<model::Transformer> made(const model::ModelConfig& config, Group* ranks) {
  auto m = std::make_unique<model::Transformer>(config, at::kCPU, at::kFloat, model::Allocation::kAtOnce, ranks);
  m->init_weights(3);
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < m->weights().size(); ++i) {
    const model::WeightRow& row = m->weights()[i];
    if (row.kind != model::WeightKind::kNorm && row.kind != model::WeightKind::kBias) continue;
    row.tensor->add_(model::shard_of(row, noise(row.whole_shape, i), m->group()));
  }
  return m;
}

// The ranks' tensors of a row's shape, or of all the same one, in order.
std::vector<Tensor> of_all(const Tensor& own, Group& ranks) {
  std::vector<int64_t> shape{ranks.size()};
  for (const int64_t n : own.sizes()) shape.push_back(n);
  Tensor all = aten::empty(shape, own.options());
  ranks.all_gather(all, own.contiguous());
  std::vector<Tensor> out;
  for (int64_t r = 0; r < ranks.size(); ++r) out.push_back(all[r]);
  return out;
}

double largest(const Tensor& x) {
  return x.numel() == 0 ? 0 : x.abs().max().item<double>();
}

struct Seen {
  double loss = 0;
  std::vector<Tensor> gradients, logprob_T, entropy_T;
};

// Sums over the micro-batches of a step, every second one with recomputed blocks.
Seen seen(model::Transformer& m, Group& data) {
  const at::AutoGradMode with_grad(true);
  m.set_requires_grad(true);
  Seen out;
  const auto batches = step_batches(3, 3);
  for (size_t i = size_t(data.rank()); i < batches.size(); i += size_t(data.size())) {
    nn::ForwardRecord record;
    const ForwardResult result = forward(m, batches[i],
                                         {.want_entropy = true,
                                          .only_weighted = true,
                                          .dropout = 0.1,
                                          .dropout_seed = i + 1,
                                          .aux_scale = 0.25,
                                          .record = &record,
                                          .mtp = m.mtp_depth() > 0,
                                          .model = {.activation_checkpointing = i % 2 == 1}});
    Tensor loss = -(result.logprob_T * result.loss_weight_T).sum();
    for (const ForwardResult::Further& further : result.further) loss = loss - (further.logprob_T * further.loss_weight_T).sum();
    loss.backward();
    out.loss += loss.item<double>();
    out.logprob_T.push_back(result.logprob_T.detach());
    out.entropy_T.push_back(result.entropy_T);
  }
  double sum[1] = {out.loss};
  data.all_reduce(sum);
  out.loss = sum[0];
  for (const model::WeightRow& row : m.weights()) {
    Tensor gradient = row.tensor->grad().defined() ? row.tensor->grad().contiguous() : aten::zeros(row.tensor->sizes());
    data.all_reduce(gradient);
    out.gradients.push_back(gradient);
  }
  return out;
}

// The whole of a row's gradient; what several ranks hold must be the same on each, to the bit.
Tensor whole_gradient(const model::WeightRow& row, const Tensor& own, Group& ranks, const std::string& what) {
  const std::vector<Tensor> all = of_all(own, ranks);
  for (size_t r = 1; r < all.size(); ++r) {
    const bool alike = !model::is_counted(row, {int64_t(r), ranks.size()});
    EXPECT_TRUE(!alike || aten::equal(all[r], all[r - 1])) << what << " differs on rank " << r;
  }
  return model::join_shards(row, all);
}

void expect_same_gradients(const std::string& name, Mesh& mesh) {
  Group alone, &ranks = mesh.tensor();
  const auto m = made(network(name), &ranks), one = made(network(name), nullptr);
  const Seen got = seen(*m, mesh.data()), want = seen(*one, alone);
  EXPECT_NEAR(got.loss, want.loss, 1e-5 * std::abs(want.loss)) << name;
  for (size_t i = 0; i < got.logprob_T.size(); ++i) {
    const size_t batch = i * size_t(mesh.data().size()) + size_t(mesh.data().rank());
    EXPECT_LT(largest(got.logprob_T[i] - want.logprob_T[batch]), 1e-5 * largest(want.logprob_T[batch])) << name;
    EXPECT_LT(largest(got.entropy_T[i] - want.entropy_T[batch]), 1e-5 * largest(want.entropy_T[batch])) << name;
  }
  double most = 0;
  for (const Tensor& gradient : want.gradients) most = std::max(most, largest(gradient));
  ASSERT_GT(most, 0) << name;
  int64_t split = 0;
  for (size_t i = 0; i < want.gradients.size(); ++i) {
    const model::WeightRow& row = m->weights()[i];
    const std::string what = str(name, ", ", ranks.size(), " ranks: ", row.name);
    split += model::is_split(row);
    const Tensor whole = whole_gradient(row, got.gradients[i], ranks, what);
    ASSERT_EQ(whole.sizes(), want.gradients[i].sizes()) << what;
    // A bias of the keys, say, has no gradient but what is rounded.
    EXPECT_LE(largest(whole - want.gradients[i]), 1e-5 * std::max(largest(want.gradients[i]), 1e-3 * most)) << what;
  }
  EXPECT_GT(split, 10) << name;
}

LossSpec with_mtp() {
  LossSpec spec = cross_entropy_loss();
  spec.mtp = true;
  return spec;
}

TrainerConfig training_config() {
  TrainerConfig config = tiny_training();
  config.learning_rate = 2e-3;  // no steps that make much of the last bits
  config.dropout = 0.1;
  return config;
}

std::vector<data::Batch> own_batches(int64_t step, const Group& group) {
  const auto all = step_batches(step, 1 + int(step % 3));  // some ranks have nothing to do
  std::vector<data::Batch> mine;
  for (size_t i = size_t(group.rank()); i < all.size(); i += size_t(group.size())) mine.push_back(all[i]);
  return mine;
}

std::vector<StepResult> trained(Trainer& trainer, int64_t until) {
  std::vector<StepResult> steps;
  while (trainer.global_step() < until) steps.push_back(trainer.step(own_batches(trainer.global_step(), trainer.group()), with_mtp()));
  return steps;
}

void expect_near(double got, double want, double relative, const std::string& what) {
  EXPECT_NEAR(got, want, relative * std::max(1.0, std::abs(want))) << what;
}

void expect_same_training(const std::string& name, Mesh& mesh) {
  const auto m = made(without_choice(network(name)), &mesh.tensor()), one = made(without_choice(network(name)), nullptr);
  Trainer trainer(*m, training_config(), kTrained, 5, nullptr, {}, {&mesh.data()}), reference(*one, training_config(), kTrained, 5);
  const auto got = trained(trainer, kTrained), want = trained(reference, kTrained);
  for (size_t step = 0; step < want.size(); ++step) {
    const std::string what = str(name, ", ", mesh.tensor().size(), " ranks, step ", step);
    expect_near(got[step].loss, want[step].loss, 1e-5, what);
    expect_near(got[step].grad_norm, want[step].grad_norm, step == 0 ? 1e-5 : 5e-4, what);
    EXPECT_EQ(got[step].tokens, want[step].tokens) << what;
    ASSERT_EQ(got[step].layers.size(), want[step].layers.size()) << what;
    for (const auto& [key, value] : want[step].layers) expect_near(got[step].layers.at(key), value, 1e-2, what + " " + key);
    for (const auto& [key, value] : want[step].metrics.sums) expect_near(got[step].metrics.sums.at(key), value, 1e-5, what + " " + key);
  }
  EXPECT_LT(want.back().loss, 0.98 * want.front().loss) << name;
}

SCENARIO(share_layers) {
  in_group(ranks, {.timeout = 60}, [&](Group& world) {
    Mesh mesh(world, std::stoll(argument));
    for (const std::string& name : kTrainedNetworks) {
      expect_same_gradients(name, mesh);
      expect_same_training(name, mesh);
    }
    for (const std::string& name : kOtherNetworks) expect_same_gradients(name, mesh);
  });
}

void run_scenario(const std::string& scenario, int64_t ranks, const std::string& argument = "") {
  const Outcome outcome = dist::run_ranks(scenario, ranks, {}, argument);
  EXPECT_EQ(outcome.code, 0) << outcome.said;
  EXPECT_FALSE(outcome.left_behind);
}

TEST(TensorParallel, IsTheModelOfOneProcess) {
  run_scenario("share_layers", 2, "2");
  run_scenario("share_layers", 4, "4");
}

TEST(TensorParallel, GoesWithDataParallel) {
  run_scenario("share_layers", 4, "2");
}

// ---- checkpoints ----

const std::vector<std::string> kSaved = {"llama", "gpt2", "tiny-v3"};

std::string folder_of(const std::string& name) {
  return (fs::path(std::getenv("R1_TEST_FOLDER")) / name).string();
}

// Three more steps from where the folder's newest checkpoint is, and the next checkpoint; the losses go to `losses`.
void three_more_steps(const std::string& name, Group* ranks, Group* data, bool first) {
  const auto m = made(without_choice(network(name)), ranks);
  Trainer trainer(*m, training_config(), kTrained, 5, nullptr, {}, {data});
  const auto newest = latest_checkpoint(folder_of(name));
  if (newest) load_checkpoint(*newest, trainer);
  std::string lines;
  for (const StepResult& step : trained(trainer, trainer.global_step() + 3)) lines += str(Json(step.loss).dump(), "\n");
  if (first) {
    make_folder(folder_of(name));
    append_file(fs::path(folder_of(name)) / "losses", lines);
    trainer.with_whole_rows([&] { save_checkpoint(folder_of(name), trainer, Json::object(), {}); });
  } else {
    trainer.with_whole_rows({});
  }
}

SCENARIO(save_shared_layers) {
  in_group(ranks, {.timeout = 60}, [&](Group& world) {
    Mesh mesh(world, std::stoll(argument));
    for (const std::string& name : kSaved) three_more_steps(name, &mesh.tensor(), &mesh.data(), world.rank() == 0);
  });
}

TEST(TensorParallel, CheckpointsAreThoseOfOneProcessAndGoOnOnAnyNumber) {
  const TemporaryFolder folder("tensor_parallel");
  const EnvironmentVariable place("R1_TEST_FOLDER", folder.path().string());
  run_scenario("save_shared_layers", 2, "2");
  for (const std::string& name : kSaved) three_more_steps(name, nullptr, nullptr, true);
  run_scenario("save_shared_layers", 4, "4");
  run_scenario("save_shared_layers", 4, "2");
  for (const std::string& name : kSaved) {
    const auto one = made(without_choice(network(name)), nullptr);
    Trainer trainer(*one, training_config(), kTrained, 5);
    const auto want = trained(trainer, 12);
    std::istringstream lines(read_file(fs::path(folder_of(name)) / "losses"));
    for (size_t i = 0; i < want.size(); ++i) {
      double loss = 0;
      ASSERT_TRUE(lines >> loss) << name << " step " << i;
      expect_near(loss, want[i].loss, 1e-5, str(name, " step ", i));
    }
    // The same tensors in the same order as one process writes them.
    const auto shared = latest_checkpoint(folder_of(name));
    ASSERT_TRUE(shared);
    const fs::path alone = save_checkpoint(folder.path() / "alone" / name, trainer, Json::object(), {});
    for (const char* file : {"model.safetensors", "optimizer.safetensors"}) {
      const auto a = SafetensorsFile::open(*shared / file), b = SafetensorsFile::open(alone / file);
      ASSERT_EQ(a.tensors().size(), b.tensors().size()) << name << " " << file;
      for (size_t i = 0; i < a.tensors().size(); ++i) {
        EXPECT_EQ(a.tensors()[i].name, b.tensors()[i].name);
        EXPECT_EQ(a.tensors()[i].shape, b.tensors()[i].shape) << a.tensors()[i].name;
      }
    }
  }
}

// ---- faults ----

SCENARIO(faults_of_shared_layers) {
  in_group(ranks, {.timeout = 20}, [&](Group& world) {
    Mesh mesh(world, 2);
    const bool second = mesh.tensor().rank() == 1;
    const auto m = made(network("llama"), &mesh.tensor());
    Trainer trainer(*m, training_config(), kTrained, 5, nullptr, {}, {&mesh.data()});
    const auto step = [&](bool stop = false) { return trainer.step(step_batches(1), with_mtp(), [stop] { return stop; }); };
    EXPECT_FALSE(step().skipped);
    // A stop that one rank was asked for, all take.
    const StepResult stopped = step(second);
    EXPECT_TRUE(stopped.stopped);
    // A weight of which the first rank has nothing.
    const Tensor weight = model::find_weight(m->weights(), "layers.1.mlp.up").tensor->detach(), before = weight.clone();
    if (second) weight.select(0, 0).fill_(NAN);
    const StepResult bad = step();
    EXPECT_TRUE(bad.skipped);
    EXPECT_EQ(bad.skip_reason, "NaN in weight layers.1.mlp.up (first layer: 1)");
    weight.copy_(before);
    EXPECT_FALSE(step().skipped);
    // Checkpoints: a poisoned state is seen wherever it is, and a save that fails is over for all.
    const auto error_of_save = [&](const fs::path& folder) -> std::string {
      if (second) {
        trainer.with_whole_rows({});
        return "";
      }
      return message_of([&] { trainer.with_whole_rows([&] { save_checkpoint(folder, trainer, Json::object(), {}); }); });
    };
    const fs::path folder = std::getenv("R1_TEST_FOLDER");
    const Tensor moment = trainer.state_tensors()[5].second, good = moment.clone();
    if (second) moment.fill_(NAN);
    const std::string poisoned = error_of_save(folder / "poisoned");
    if (!second) {
      EXPECT_TRUE(dist::contains(poisoned, "checkpoint-3 is not written: NaN in optimizer state ")) << poisoned;
    }
    moment.copy_(good);
    const std::string nowhere = error_of_save("/dev/null/nowhere");
    EXPECT_NE(nowhere, "no error");
    error_of_save(folder / "good");
    EXPECT_FALSE(step().skipped);
    world.barrier();
    EXPECT_TRUE(latest_checkpoint(folder / "good"));
  });
}

TEST(TensorParallel, AFaultOnOneRankIsOneOnAll) {
  const TemporaryFolder folder("tensor_parallel_faults");
  const EnvironmentVariable place("R1_TEST_FOLDER", folder.path().string());
  run_scenario("faults_of_shared_layers", 2);
}

}  // namespace
}  // namespace tensor_parallel
}  // namespace r1::train
