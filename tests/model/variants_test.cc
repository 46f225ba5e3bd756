// Norms and MLPs as options of any family: counted, saved and loaded, the engine's rows against the trainer's, checkpointing.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/model/footprint.h"
#include "r1/model/weights_io.h"
#include "r1/ops/logprob.h"
#include "r1/tensor/aten.h"
#include "tiny_model.h"

namespace r1::model {
namespace {

struct Variant {
  const char* name;
  void (*set)(ModelConfig&);
};
const Variant kVariants[] = {
    {"norm_layer", [](ModelConfig& c) { c.norm = "layer"; }},
    {"norm_none", [](ModelConfig& c) { c.norm = "none"; }},
    {"norm_power", [](ModelConfig& c) { c.norm = "power"; }},
    {"geglu", [](ModelConfig& c) { c.ffn = "geglu"; }},
    {"gelu_bias", [](ModelConfig& c) { c.ffn = "gelu", c.mlp_bias = true; }},
    {"norm_gelu", [](ModelConfig& c) { c.ffn = "norm_gelu", c.ffn_dropout = 0.1; }},
    {"norm_gelu_bias_blockwise",
     [](ModelConfig& c) { c.ffn = "norm_gelu", c.mlp_bias = true, c.attention = "blockwise", c.attn.block = 7; }},
    {"swiglu_bias_dropout", [](ModelConfig& c) { c.mlp_bias = true, c.ffn_dropout = 0.1; }},
    {"topk_sparse", [](ModelConfig& c) { c.ffn = "topk_sparse", c.ffn_dropout = 0.1; }},
    {"learned_positions", [](ModelConfig& c) { c.positions = "learned"; }},
    {"post_norms_scaled", [](ModelConfig& c) { c.post_norms = c.qk_norm = true, c.norm = "power", c.embedding_scale = 3; }},
    {"gpt2_power_swiglu", [](ModelConfig& c) { set_family(c, "gpt2"), c.norm = "power", c.ffn = "swiglu", c.positions = "rope"; }},
};

class VariantTest : public ::testing::TestWithParam<Variant> {
 protected:
  static ModelConfig config() {
    ModelConfig c = tiny("llama");
    GetParam().set(c);
    finish_config(c);
    return c;
  }
  // Statistics and biases that do something.
  static void stir(Transformer& model) {
    const at::NoGradGuard no_grad;
    model.init_weights(7);
    for (WeightRow& row : model.weights()) {
      const Tensor noise = random_ids(row.tensor->numel(), 100, 5).to(at::kFloat).view(row.shape) / 200;
      if (row.kind == WeightKind::kBias || row.kind == WeightKind::kNorm) row.tensor->add_(noise);
      if (row.kind == WeightKind::kBuffer) row.tensor->copy_(row.name.ends_with("_count") ? noise.ceil() + 1 : noise * 0.2 + 0.1);
    }
  }
};

TEST_P(VariantTest, IsCounted) {
  const ModelConfig c = config();
  const Transformer model(c, at::kCPU, at::kFloat);
  int64_t count = 0;
  for (const WeightRow& row : model.weights()) count += row.tensor->numel();
  EXPECT_EQ(count, parameter_count(c));
}

TEST_P(VariantTest, ComesBackFromAFile) {
  const at::NoGradGuard no_grad;
  const fs::path folder = fs::temp_directory_path() / str("r1_variant_", GetParam().name, "_", ::getpid());
  Transformer model(config(), at::kCPU, at::kFloat);
  stir(model);
  save_model(model, folder, at::kFloat);
  const auto again = load_model(folder, at::kCPU, at::kFloat);
  fs::remove_all(folder);
  ModelConfig written = model.config();
  EXPECT_EQ(config_to_json(again->config()), config_to_json(written));
  for (size_t i = 0; i < model.weights().size(); ++i)
    EXPECT_TRUE(aten::equal(*model.weights()[i].tensor, *again->weights()[i].tensor)) << model.weights()[i].name;
}

TEST_P(VariantTest, EngineRowsAreTheTrainersRows) {
  const at::NoGradGuard no_grad;
  Transformer model(config(), at::kCPU, at::kFloat);
  stir(model);
  const Tensor ids = random_ids(60, 61, 8), want = model.hidden(ids, packed({60}));
  for (const int64_t chunk : {1, 7, 60}) {
    std::vector<nn::LayerCache> caches;
    for (int i = 0; i < model.num_caches(); ++i) caches.push_back(aten::full({6, model.cache_bytes(i, 16)}, 0xFF, at::kByte));
    std::vector<Tensor> rows;
    for (int64_t fed = 0; fed < 60; fed += chunk) {
      const int64_t count = std::min<int64_t>(chunk, 60 - fed);
      const nn::LayerContext context{
          ops::sequences_on(at::kCPU, {.cu_seqlens = {0, int32_t(count)}, .context_lens = {int32_t(fed)}, .block_tables = {{4, 0, 3, 1}}})};
      rows.push_back(model.hidden(ids.narrow(0, fed, count), context, &caches));
    }
    EXPECT_TRUE(aten::equal(aten::cat(rows, 0), want)) << "chunk " << chunk;
  }
}

// Gradients of one packed batch in training, with what was recorded.
std::vector<Tensor> gradients(Transformer& model, bool checkpointing, nn::ForwardRecord& record) {
  nn::LayerContext context = packed({5, 11, 1});
  context.dropout_seed = 9;
  context.aux_scale = 1;
  context.record = &record;
  const Tensor ids = random_ids(17, 61, 3), targets = random_ids(17, 61, 4);
  const Tensor x = model.hidden(ids, context, nullptr, {.activation_checkpointing = checkpointing});
  (-ops::linear_logprob(x, model.head(), targets).logprob_T.mean()).backward();
  std::vector<Tensor> grads;
  for (WeightRow& row : model.weights()) {
    grads.push_back(row.tensor->grad());
    row.tensor->mutable_grad() = Tensor();
  }
  return grads;
}

TEST_P(VariantTest, CheckpointingGivesTheSameBitsAndRecord) {
  Transformer model(config(), at::kCPU, at::kFloat);
  stir(model);
  model.set_requires_grad(true);
  nn::ForwardRecord once, again_record;
  const auto plain = gradients(model, false, once), again = gradients(model, true, again_record);
  for (size_t i = 0; i < plain.size(); ++i) {
    const WeightRow& row = model.weights()[i];
    EXPECT_EQ(plain[i].defined(), row.kind != WeightKind::kBuffer) << row.name;
    if (plain[i].defined()) {
      EXPECT_TRUE(aten::equal(plain[i], again[i])) << row.name;
    }
  }
  ASSERT_EQ(once.sums.size(), again_record.sums.size());
  for (const auto& [name, value] : once.sums) EXPECT_TRUE(aten::equal(value, again_record.sums.at(name))) << name;
}

INSTANTIATE_TEST_SUITE_P(Options, VariantTest, ::testing::ValuesIn(kVariants),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Variants, PowerNormFollowsWhatItSees) {
  ModelConfig c = tiny("llama");
  c.norm = "power";
  Transformer model(c, at::kCPU, at::kFloat);
  model.init_weights(3);
  model.set_requires_grad(true);
  const auto square = [&] { return find_weight(model.weights(), "layers.0.attention_norm_square").tensor->clone(); };
  nn::ForwardRecord record;
  gradients(model, false, record);
  const Tensor seen = record.sums.at("layers.0.attention_norm.squares") / 17;
  model.after_step(record);
  EXPECT_LT((square() - seen).abs().max().item<double>(), 1e-6);  // the first step's mean, as it was
  EXPECT_EQ(find_weight(model.weights(), "norm_count").tensor->item<float>(), 1.0f);
  EXPECT_GT(find_weight(model.weights(), "layers.1.mlp_norm_nu").tensor->abs().max().item<double>(), 0.0);
  const Tensor before = square();
  model.after_step(nn::ForwardRecord());  // a step that saw nothing
  EXPECT_TRUE(aten::equal(before, square()));
}

// What norms are for: without one, what reaches attention is so small that its weights get no gradient.
TEST(Variants, NormsKeepTheGradientAtAttentionAlive) {
  const auto weakest = [](const char* norm, double scale) {
    ModelConfig c = tiny("llama");
    c.norm = norm;
    c.attn.scale = scale;
    c.initializer_range = 0.02;
    Transformer model(c, at::kCPU, at::kFloat);
    model.init_weights(3);
    model.set_requires_grad(true);
    nn::ForwardRecord record;
    const std::vector<Tensor> found = gradients(model, false, record);
    double least = INFINITY;
    for (size_t i = 0; i < found.size(); ++i)
      if (model.weights()[i].name.ends_with("attention.q")) least = std::min(least, found[i].norm().item<double>());
    return least;
  };
  for (const double scale : {0.0, 1.0})
    for (const char* norm : {"rms", "layer", "power"})
      EXPECT_GT(weakest(norm, scale), 1e3 * weakest("none", scale)) << norm << ' ' << scale;
}

TEST(Variants, SparsityMovesTowardsTheGradientNormAndStaysInBounds) {
  ModelConfig c = tiny("llama");
  c.ffn = "topk_sparse";
  c.sparse.speed = 0.05;
  Transformer model(c, at::kCPU, at::kFloat);
  model.init_weights(3);
  const auto sparsity = [&](int layer) {
    return 0.5 + find_weight(model.weights(), str("layers.", layer, ".mlp.sparsity_shift")).tensor->item<double>();
  };
  nn::ForwardRecord record;
  record.add("layers.0.sparse_mlp.gradient_squares", aten::full({}, 9.0));  // pulled at three times as hard as the other
  record.add("layers.1.sparse_mlp.gradient_squares", aten::full({}, 1.0));
  model.after_step(record);
  EXPECT_NEAR(sparsity(0), 0.5 + 0.05 * std::log(2.0 / 3), 1e-6);
  EXPECT_NEAR(sparsity(1), 0.5 + 0.05 * std::log(2.0), 1e-6);
  for (int i = 0; i < 50; ++i) model.after_step(record);
  EXPECT_NEAR(sparsity(0), 0.3, 1e-6);
  EXPECT_NEAR(sparsity(1), 0.8, 1e-6);
}

// Dropout in the MLP is there in training alone, and a function of the seed.
TEST(Variants, FfnDropoutIsForTraining) {
  for (const char* ffn : {"swiglu", "gelu", "norm_gelu", "topk_sparse"}) {
    ModelConfig c = tiny("llama");
    c.ffn = ffn;
    c.ffn_dropout = 0.3;
    Transformer model(c, at::kCPU, at::kFloat);
    model.init_weights(3);
    const at::NoGradGuard no_grad;
    const Tensor ids = random_ids(20, 61, 3);
    nn::ForwardRecord record;
    const auto forward = [&](uint64_t seed) {
      nn::LayerContext context = packed({20});
      context.record = seed ? &record : nullptr;
      context.dropout_seed = seed;
      return model.hidden(ids, context);
    };
    EXPECT_FALSE(aten::equal(forward(0), forward(1))) << ffn;
    EXPECT_FALSE(aten::equal(forward(2), forward(1))) << ffn;
    EXPECT_TRUE(aten::equal(forward(1), forward(1))) << ffn;
  }
}

}  // namespace
}  // namespace r1::model
