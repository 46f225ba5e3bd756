// Pruning: what goes, what stays exactly as it was, and who is refused by name.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/model/weights_io.h"
#include "r1/quant/prune_forward.h"
#include "r1/quant/prune_scores.h"
#include "r1/quant/prune_shape.h"
#include "r1/quant/prune_weights.h"
#include "r1/tensor/safetensors.h"
#include "tests/model/tiny_model.h"

namespace r1::quant {
namespace {

using model::ModelConfig;
using model::Transformer;

std::unique_ptr<Transformer> made(const ModelConfig& config, uint64_t seed = 3) {
  auto model = std::make_unique<Transformer>(config, at::kCPU, at::kFloat);
  model->init_weights(seed);
  // Biases and norms that matter.
  Rng rng(seed);
  for (model::WeightRow& row : model->weights()) {
    if (row.kind != model::WeightKind::kNorm && row.kind != model::WeightKind::kBias) continue;
    float* values = row.tensor->mutable_data_ptr<float>();
    for (int64_t i = 0; i < row.tensor->numel(); ++i) values[i] += float(0.1 * rng.normal());
  }
  return model;
}

data::Batch random_batch(const std::vector<int>& lengths, int64_t vocab, uint64_t seed) {
  Rng rng(seed);
  data::Batch b;
  b.cu_seqlens.push_back(0);
  for (const int length : lengths) {
    for (int t = 0; t < length; ++t) {
      b.ids.push_back(int32_t(rng.between(0, vocab - 1)));
      b.targets.push_back(int32_t(rng.between(0, vocab - 1)));
      b.loss_weight.push_back(t + 1 < length);
      b.positions.push_back(t);
    }
    b.cu_seqlens.push_back(int32_t(b.ids.size()));
  }
  return b;
}

Tensor logits_of(Transformer& model, const data::Batch& batch) {
  const at::NoGradGuard no_grad;
  return model.logits(states_of(model, batch));
}

Tensor& weight_of(Transformer& model, const std::string& name) {
  return *model::find_weight(model.weights(), name).tensor;
}

std::string refusal(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage) << error.what();
    return error.what();
  }
  return "";
}

std::vector<int64_t> numbers(int64_t n) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(i);
  return out;
}

const std::vector<std::string> kDense = {"llama", "qwen2", "qwen3", "gemma3_text", "gpt2"};

// Channels whose down column is zero add nothing: the logits stay, whatever the scores find them.
TEST(PruneShape, ChannelsThatWereZeroChangeNothing) {
  for (const std::string& family : kDense) {
    SCOPED_TRACE(family);
    auto model = made(model::tiny(family));
    const ModelConfig c = model->config();
    const data::Batch batch = random_batch({9, 5}, c.vocab_size, 7);
    const at::NoGradGuard no_grad;
    std::vector<std::vector<int64_t>> alive;
    for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
      auto& kept = alive.emplace_back();
      for (int64_t channel = 0; channel < c.intermediate_size; ++channel) {
        if (channel % 3 != layer % 3) kept.push_back(channel);
        if (channel % 3 == layer % 3) weight_of(*model, str("layers.", layer, ".mlp.down")).select(1, channel).fill_(0);
      }
    }
    while (alive[1].size() > alive[0].size()) alive[1].pop_back();  // as many each: 53 of 80 here
    const size_t count = std::min(alive[0].size(), alive[1].size());
    for (int64_t layer = 0; layer < 2; ++layer) {
      Tensor& down = weight_of(*model, str("layers.", layer, ".mlp.down"));
      for (size_t i = count; i < alive[size_t(layer)].size(); ++i) down.select(1, alive[size_t(layer)][i]).fill_(0);
      alive[size_t(layer)].resize(count);
    }
    const Tensor before = logits_of(*model, batch);
    for (const char* by : {"activation", "gradient"}) {
      const auto scores = part_scores(*model, std::span(&batch, 1), {.by = by, .channels = true});
      ASSERT_EQ(scores.channels.size(), 2u);
      for (size_t layer = 0; layer < 2; ++layer) EXPECT_EQ(largest(scores.channels[layer], int64_t(count)), alive[layer]) << by;
    }
    auto small = smaller_model(*model, {.layers = numbers(2), .channels = alive});
    EXPECT_EQ(small->config().intermediate_size, int64_t(count));
    EXPECT_LE((logits_of(*small, batch) - before).abs().max().item<double>(), 2e-5);
  }
}

TEST(PruneShape, HeadsThatWereZeroChangeNothing) {
  for (const std::string family : {"llama", "qwen3", "gemma3_text", "qwen3_moe"}) {
    SCOPED_TRACE(family);
    auto model = made(model::tiny(family));
    const ModelConfig c = model->config();
    const data::Batch batch = random_batch({9, 5}, c.vocab_size, 7);
    const int64_t group = c.head_dim * c.num_attention_heads / c.num_key_value_heads;
    {
      const at::NoGradGuard no_grad;
      weight_of(*model, "layers.0.attention.o").narrow(1, 0, group).fill_(0);
      weight_of(*model, "layers.1.attention.o").narrow(1, group, group).fill_(0);
    }
    const Tensor before = logits_of(*model, batch);
    const std::vector<std::vector<int64_t>> alive = {{1}, {0}};
    for (const char* by : {"activation", "gradient"}) {
      const auto scores = part_scores(*model, std::span(&batch, 1), {.by = by, .kv_heads = true});
      for (size_t layer = 0; layer < 2; ++layer) EXPECT_EQ(largest(scores.kv_heads[layer], 1), alive[layer]) << by;
    }
    auto small = smaller_model(*model, {.layers = numbers(2), .kv_heads = alive});
    EXPECT_EQ(small->config().num_key_value_heads, 1);
    EXPECT_EQ(small->config().num_attention_heads, 3);
    EXPECT_LE((logits_of(*small, batch) - before).abs().max().item<double>(), 2e-5);
  }
}

// A layer that adds nothing is found by the angle of the states, and the model without it is the same.
TEST(PruneShape, ALayerThatAddsNothingGoes) {
  for (const std::string family : {"llama", "gpt2", "deepseek_v3", "qwen3_moe"}) {
    SCOPED_TRACE(family);
    ModelConfig c = model::tiny(family);
    c.num_hidden_layers = 4;
    auto model = made(c);
    const data::Batch batch = random_batch({9, 5}, c.vocab_size, 7);
    {
      const at::NoGradGuard no_grad;
      for (model::WeightRow& row : model->weights())
        for (const char* part : {"layers.2.attention.o", "layers.2.mlp.down", "layers.2.mlp.experts.down", "layers.2.mlp.shared.down"})
          if (row.name.rfind(part, 0) == 0) row.tensor->fill_(0);
    }
    const auto distances = angular_distances(*model, std::span(&batch, 1), 1);
    ASSERT_EQ(distances.size(), 4u);
    EXPECT_LE(distances[2], 1e-6);
    EXPECT_GT(std::min({distances[0], distances[1], distances[3]}), 0.01);
    auto small = smaller_model(*model, {.layers = {0, 1, 3}});
    EXPECT_EQ(small->config().num_hidden_layers, 3);
    EXPECT_LE((logits_of(*small, batch) - logits_of(*model, batch)).abs().max().item<double>(), 2e-5);
  }
}

// What transformers computes of the smaller model is what we compute.
TEST(PruneShape, TransformersLoadsIt) {
  const char* python = std::getenv("R1_ORACLE_PYTHON");
  if (!python) GTEST_SKIP() << "R1_ORACLE_PYTHON is not set";
  const at::NoGradGuard no_grad;
  const fs::path work = fs::temp_directory_path() / str("r1-prune-", ::getpid());
  make_folder(work);
  const Tensor ids = model::random_ids(40, 61, 3);
  write_file_atomic(work / "ids.json",
                    dump_json(Json(std::vector<int64_t>(ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + 40))));
  std::string command = str(python, " ", R1_SOURCE_DIR, "/tests/oracles/model_logits.py ", (work / "ids.json").string(), " ",
                            (work / "out.safetensors").string());
  std::vector<std::unique_ptr<Transformer>> small;
  for (const std::string family : {"llama", "qwen3", "qwen2", "gpt2", "gemma3_text"}) {
    ModelConfig c = model::tiny(family);
    c.num_hidden_layers = 4;
    KeptParts kept{.layers = {0, 3}};
    if (family == "gemma3_text") kept.layers = {0, 1};
    if (family != "gpt2" && family != "qwen2") kept.kv_heads = {{1}, {0}};
    kept.channels = {numbers(40), numbers(40)};
    small.push_back(smaller_model(*made(c), kept));
    model::save_model(*small.back(), work / family, at::kFloat);
    command += " " + (work / family).string();
  }
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  const auto file = SafetensorsFile::open(work / "out.safetensors");
  for (size_t i = 0; i < small.size(); ++i) {
    const Tensor want = tensor::read_safetensor(file, *file.find(str("logits.", i)));
    const Tensor got = small[i]->logits(small[i]->hidden(ids, model::packed({40})));
    EXPECT_LE((got - want).abs().max().item<double>(), 1e-4) << small[i]->config().family;
  }
  fs::remove_all(work);
}

TEST(PruneShape, RefusedByName) {
  const auto refused = [](const std::string& family, auto check) {
    ModelConfig c = model::tiny(family);
    model::finish_config(c);
    return refusal([&] { check(c); });
  };
  EXPECT_NE(refused("deepseek_v3", check_heads_can_go).find("latent attention (deepseek_v3)"), std::string::npos);
  EXPECT_NE(refused("gpt2", check_heads_can_go).find("gpt2 know no head_dim"), std::string::npos);
  EXPECT_NE(refused("qwen3_moe", check_channels_can_go).find("8 experts of 24 channels"), std::string::npos);
  ModelConfig gemma = model::tiny("gemma3_text");
  gemma.num_hidden_layers = 6;
  model::finish_config(gemma);
  EXPECT_NE(refusal([&] { check_layers_can_go(gemma, {0, 1, 2, 4, 5}); }).find("drop a multiple of 2 layers"), std::string::npos);
  EXPECT_EQ(refusal([&] { check_layers_can_go(gemma, {0, 1, 4, 5}); }), "");
}

// Scores from their definitions, in fp64 by hand.
TEST(PruneScores, AreTheirDefinitions) {
  auto model = made(model::tiny("llama"));
  const ModelConfig c = model->config();
  const std::vector<data::Batch> batches = {random_batch({9, 5}, c.vocab_size, 7), random_batch({11}, c.vocab_size, 8)};
  const int64_t group = 24;
  const auto in = [](const Tensor& t) { return t.detach().to(at::kDouble); };
  const auto row = [&](const char* name) { return in(weight_of(*model, name)); };

  const auto l1 = part_scores(*model, {}, {.by = "l1", .channels = true, .kv_heads = true});
  EXPECT_NEAR(l1.channels[1][17].item<double>(),
              (row("layers.1.mlp.gate")[17].abs().sum() + row("layers.1.mlp.up")[17].abs().sum() +
               row("layers.1.mlp.down").select(1, 17).abs().sum())
                  .item<double>(),
              1e-9);
  EXPECT_NEAR(l1.kv_heads[0][1].item<double>(),
              (row("layers.0.attention.q").narrow(0, group, group).abs().sum() + row("layers.0.attention.k").narrow(0, 8, 8).abs().sum() +
               row("layers.0.attention.v").narrow(0, 8, 8).abs().sum() + row("layers.0.attention.o").narrow(1, group, group).abs().sum())
                  .item<double>(),
              1e-9);

  // What a part adds, by taking everything else away from the product.
  std::vector<Tensor> inputs_down, inputs_o;
  {
    const at::NoGradGuard no_grad;
    model::find_weight(model->weights(), "layers.1.mlp.down").weight->on_input([&](const Tensor& x, int64_t) {
      return inputs_down.push_back(in(x)), x;
    });
    model::find_weight(model->weights(), "layers.1.attention.o").weight->on_input([&](const Tensor& x, int64_t) {
      return inputs_o.push_back(in(x)), x;
    });
    for (const auto& batch : batches) states_of(*model, batch);
    for (const char* name : {"layers.1.mlp.down", "layers.1.attention.o"}) model::find_weight(model->weights(), name).weight->on_input({});
  }
  const Tensor h = aten::cat(inputs_down), a = aten::cat(inputs_o);
  ASSERT_EQ(h.size(0), 25);
  const auto size_of = [](const Tensor& added) { return std::sqrt(added.square().sum(1).mean().item<double>()); };
  const auto activation = part_scores(*model, batches, {.by = "activation", .channels = true, .kv_heads = true});
  EXPECT_NEAR(activation.channels[1][17].item<double>(),
              size_of(aten::matmul(h.narrow(1, 17, 1), row("layers.1.mlp.down").narrow(1, 17, 1).t())), 1e-9);
  EXPECT_NEAR(activation.kv_heads[1][0].item<double>(),
              size_of(aten::matmul(a.narrow(1, 0, group), row("layers.1.attention.o").narrow(1, 0, group).t())), 1e-9);

  // The loss's first order change, against the loss with the channel turned down a little.
  const auto gradient = part_scores(*model, batches, {.by = "gradient", .channels = true, .kv_heads = true});
  const auto changed = [&](const char* name, int64_t first, int64_t count) {
    double sum = 0;
    for (const auto& batch : batches) {
      const auto loss_with = [&](double scale) {
        const at::NoGradGuard no_grad;
        Tensor& w = weight_of(*model, name);
        const Tensor before = w.clone();
        w.narrow(1, first, count).mul_(scale);
        const double loss = loss_of(*model, batch).sum.item<double>();
        w.copy_(before);
        return loss;
      };
      sum += std::abs((loss_with(1.02) - loss_with(0.98)) / 0.04);
    }
    return sum;
  };
  const double channel = gradient.channels[0][17].item<double>(), heads = gradient.kv_heads[0][1].item<double>();
  EXPECT_NEAR(channel, changed("layers.0.mlp.down", 17, 1), 0.02 * std::max(channel, 0.05));
  EXPECT_NEAR(heads, changed("layers.0.attention.o", group, group), 0.02 * std::max(heads, 0.05));
  EXPECT_FALSE(weight_of(*model, "layers.0.mlp.down").requires_grad());
}

Tensor correlated(int64_t tokens, int64_t columns, uint64_t seed) {
  Rng rng(seed);
  Tensor few = aten::empty({tokens, columns / 3}, at::kDouble), mix = aten::empty({columns / 3, columns}, at::kDouble),
         noise = aten::empty({tokens, columns}, at::kDouble);
  for (Tensor* t : {&few, &mix, &noise})
    for (int64_t i = 0; i < t->numel(); ++i) t->mutable_data_ptr<double>()[i] = rng.normal();
  return aten::matmul(few, mix) + noise * 0.1;
}

TEST(PruneWeights, EachMethodIsItsRule) {
  Tensor w = correlated(12, 24, 1), x = correlated(100, 24, 2);
  const Tensor before = w.clone();
  prune_matrix(w, {}, {.method = "magnitude", .share = 0.25});
  EXPECT_EQ((w == 0).sum().item<int64_t>(), 12 * 24 / 4);
  const Tensor zero = w == 0;
  EXPECT_LE(before.masked_select(zero).abs().max().item<double>(), before.masked_select(w != 0).abs().min().item<double>());
  EXPECT_TRUE(aten::equal(w.masked_select(w != 0), before.masked_select(w != 0))) << "what stays is as it was";

  w = before.clone();
  prune_matrix(w, x, {.method = "wanda", .share = 0.5});
  const Tensor scores = before.abs() * x.square().sum(0).sqrt().unsqueeze(0);
  for (int64_t o = 0; o < 12; ++o) {
    EXPECT_EQ((w[o] == 0).sum().item<int64_t>(), 12);
    EXPECT_LE(scores[o].masked_select(w[o] == 0).max().item<double>(), scores[o].masked_select(w[o] != 0).min().item<double>());
  }
}

TEST(PruneWeights, TwoOfEachFour) {
  const Tensor x = correlated(100, 24, 2);
  for (const char* method : {"magnitude", "wanda", "sparsegpt"}) {
    for (const int64_t block : {8, 128}) {
      Tensor w = correlated(12, 24, 1);
      prune_matrix(w, x, {.method = method, .of_four = true, .block = block});
      EXPECT_TRUE(((w.reshape({-1, 4}) == 0).sum(1) == 2).all().item<bool>()) << method << " " << block;
    }
  }
}

double error_of(const Tensor& w, const Tensor& before, const Tensor& x) {
  return aten::matmul(x, (w - before).t()).square().sum().item<double>() / aten::matmul(x, before.t()).square().sum().item<double>();
}

TEST(PruneWeights, SparseGptMakesUpForWhatGoes) {
  const Tensor before = correlated(32, 48, 1), x = correlated(400, 48, 2);
  for (const bool of_four : {false, true}) {
    double errors[3];
    int i = 0;
    for (const char* method : {"sparsegpt", "wanda", "magnitude"}) {
      Tensor w = before.clone();
      prune_matrix(w, x, {.method = method, .share = 0.5, .of_four = of_four, .block = 16});
      EXPECT_NEAR((w == 0).to(at::kDouble).mean().item<double>(), 0.5, 1e-9) << method;
      errors[i++] = error_of(w, before, x);
    }
    EXPECT_LT(errors[0], 0.5 * errors[1]) << "inputs that hang together can stand in for each other";
    EXPECT_LE(errors[0], errors[2]);
  }
}

// One row, one block: the columns that stay are the least squares fit of the output, as near as going column by column comes to it.
TEST(PruneWeights, SparseGptsLastColumnIsTheLeastSquaresFit) {
  const Tensor x = correlated(200, 6, 5);
  Tensor w = correlated(1, 6, 6);
  const Tensor before = w.clone();
  prune_matrix(w, x, {.method = "sparsegpt", .share = 1.0 / 6, .damping = 0});
  int64_t gone = -1;
  for (int64_t i = 0; i < 6; ++i)
    if (w[0][i].item<double>() == 0) gone = i;
  ASSERT_TRUE(gone >= 0 && gone < 5) << gone;  // by the seeds above; after the last column nothing would come
  // Columns before the one that went cannot move; the rest is fitted to what they leave.
  const Tensor y = aten::matmul(x, before.t()) - aten::matmul(x.narrow(1, 0, gone), before.narrow(1, 0, gone).t());
  const Tensor rest = x.narrow(1, gone + 1, 5 - gone);
  const Tensor fit = aten::matmul(aten::matmul(rest.t(), rest).cholesky().cholesky_inverse(), aten::matmul(rest.t(), y)).t();
  EXPECT_LE((fit - w.narrow(1, gone + 1, 5 - gone)).abs().max().item<double>(), 1e-8);
}

// A channel that is never on has no second moments: its column goes, nothing becomes NaN.
TEST(PruneWeights, DeadInputsAndFewTokens) {
  Tensor x = correlated(5, 24, 2);  // fewer tokens than columns: H is singular
  x.select(1, 3).fill_(0);
  Tensor w = correlated(12, 24, 1);
  prune_matrix(w, x, {.method = "sparsegpt", .share = 0.5});
  EXPECT_TRUE(aten::isfinite(w).all().item<bool>());
  EXPECT_TRUE((w.select(1, 3) == 0).all().item<bool>());
}

TEST(PruneWeights, OfWholeModels) {
  for (const std::string family : {"llama", "qwen2", "gpt2", "gemma3_text", "qwen3_moe"}) {
    SCOPED_TRACE(family);
    for (const char* method : {"magnitude", "wanda", "sparsegpt"}) {
      auto model = made(model::tiny(family));
      const data::Batch batch = random_batch({30, 40, 20}, model->config().vocab_size, 7);
      const Tensor embedding = weight_of(*model, "embedding").detach().clone();
      const auto done = prune_weights(*model, batch, {.method = method, .of_four = true});
      EXPECT_GE(done.size(), 8u);
      for (const PrunedMatrix& matrix : done) {
        EXPECT_NEAR(matrix.zeros, 0.5, 1e-9) << matrix.name;
        if (method != std::string("magnitude")) EXPECT_GT(matrix.error, 0) << matrix.name;
        EXPECT_LT(matrix.error, 1) << matrix.name;
      }
      EXPECT_TRUE(aten::equal(weight_of(*model, "embedding"), embedding)) << "tied to the head: both stay";
      EXPECT_TRUE(aten::isfinite(logits_of(*model, batch)).all().item<bool>());
    }
  }
}

TEST(PruneWeights, RefusedByName) {
  auto mla = made(model::tiny("deepseek_v3"));
  EXPECT_NE(refusal([&] { check_weights_can_go(*mla, {.method = "wanda"}); }).find("latent attention (deepseek_v3)"), std::string::npos);
  EXPECT_EQ(refusal([&] { check_weights_can_go(*mla, {.method = "magnitude"}); }), "");
  ModelConfig odd = model::tiny("llama");
  odd.intermediate_size = 82;
  auto model = made(odd);
  EXPECT_NE(refusal([&] { check_weights_can_go(*model, {.of_four = true}); }).find("layers.0.mlp.down has rows of 82"), std::string::npos);
}

}  // namespace
}  // namespace r1::quant
