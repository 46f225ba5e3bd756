// The shard axes of the weight table: the parts of 2 and 4 ranks put together are the whole, and layers made of the parts add up to the
// whole layer's result, for every family.
#include "r1/model/shard.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <functional>

#include "r1/base/error.h"
#include "r1/model/layers.h"
#include "r1/nn/block.h"
#include "tiny_model.h"

namespace r1::model {
namespace {

// Heads, neurons, experts and vocabulary that four ranks divide.
ModelConfig divisible(const std::string& family) {
  ModelConfig c = tiny(family);
  c.vocab_size = 64;
  c.num_attention_heads = 8;
  if (c.num_key_value_heads > 0) c.num_key_value_heads = family == "gpt2" ? 8 : 4;
  c.hidden_size = 64;
  if (family == "gpt2" || family == "gemma3_text") set_family(c, family);
  if (family == "llama") c.mlp_bias = c.attention_bias = true;
  if (c.moe.n_routed_experts > 0) c.moe.first_k_dense_replace = 1;
  finish_config(c);
  return c;
}

Tensor noise(at::IntArrayRef shape, uint64_t seed) {
  Rng rng(seed);
  const Tensor t = aten::empty(shape, at::kFloat);
  for (int64_t i = 0; i < t.numel(); ++i) t.mutable_data_ptr<float>()[i] = float(rng.normal()) * 0.3f;
  return t;
}

// A block's parts with their rows of the weight table ("layers.#." and their own name).
struct Parts {
  LayerFactory factory;
  nn::BlockParts block;
  std::vector<nn::Parameter> parameters;
  WeightTable rows;

  Parts(const ModelConfig& config, int64_t layer, nn::Group group) : factory(config, {.group = group}), block(factory.block(layer)) {
    for (const auto& table : factory.rotary_tables()) table->reach(64);
    block.attention->parameters(nn::ParameterList(parameters).under("layers.0.attention"));
    block.mlp->parameters(nn::ParameterList(parameters).under("layers.0.mlp"));
    rows = make_weight_table(parameters, family_of(config.family), group, config.num_key_value_heads);
  }
};

bool added_after_the_sum(const WeightRow& row) {
  return row.kind == WeightKind::kBias && row.shard_axis < 0;
}

TEST(Shards, PutTogetherAreTheWhole) {
  for (const Family* family : families()) {
    Transformer model(divisible(family->name), at::kCPU, at::kFloat);
    model.init_weights(3);
    int split = 0;
    for (const WeightRow& row : model.weights()) {
      for (const int64_t size : {1, 2, 4}) {
        std::vector<Tensor> shards;
        int64_t elements = 0;
        for (int64_t rank = 0; rank < size; ++rank) {
          shards.push_back(shard_of(row, *row.tensor, {rank, size}));
          elements += shards.back().numel();
        }
        EXPECT_TRUE(aten::equal(join_shards(row, shards), *row.tensor)) << family->name << " " << row.name;
        EXPECT_EQ(elements, row.tensor->numel() * (row.shard_axis < 0 ? size : 1)) << family->name << " " << row.name;
      }
      split += row.shard_axis >= 0;
      // Nothing large is whole on every rank but what all heads share, latents' projections and routers.
      const bool shared = row.name.find("_a") != std::string::npos || row.name.ends_with(".router") || row.name == "positions";
      if (row.shape.size() > 1 && !shared) {
        EXPECT_GE(row.shard_axis, 0) << family->name << " " << row.name;
      }
    }
    EXPECT_GT(split, 10) << family->name;
  }
}

// What `size` layers of their own parts give, added up, against the whole layer's.
void expect_sums(const ModelConfig& config, int64_t size, int64_t layer = 0) {
  const Parts whole(config, layer, {});
  const auto context = packed({9, 4});
  const Tensor x_TD = noise({13, config.hidden_size}, 5);
  for (size_t i = 0; i < whole.parameters.size(); ++i) whole.parameters[i].tensor->copy_(noise(whole.rows[i].shape, 10 + i));
  Tensor attention_TD = aten::zeros_like(x_TD), mlp_TD = aten::zeros_like(x_TD);
  for (int64_t rank = 0; rank < size; ++rank) {
    const Parts part(config, layer, {rank, size});
    ASSERT_EQ(part.parameters.size(), whole.parameters.size());
    for (size_t i = 0; i < part.parameters.size(); ++i) {
      const Tensor shard = shard_of(whole.rows[i], *whole.parameters[i].tensor, {rank, size});
      ASSERT_EQ(shard.sizes(), part.parameters[i].tensor->sizes()) << config.family << " " << whole.rows[i].name;
      ASSERT_EQ(part.rows[i].whole_shape, whole.rows[i].shape) << config.family << " " << whole.rows[i].name;
      part.parameters[i].tensor->copy_(rank > 0 && added_after_the_sum(whole.rows[i]) ? shard * 0 : shard);
    }
    attention_TD = attention_TD + (*part.block.attention)(x_TD, context, nullptr);
    mlp_TD = mlp_TD + (*part.block.mlp)(x_TD, context, nullptr);
  }
  const auto expect_near = [&](const Tensor& got, const Tensor& want, const char* what) {
    EXPECT_LT((got - want).abs().max().item<double>(), 1e-5 * want.abs().max().item<double>()) << config.family << " " << size << what;
    EXPECT_GT(want.abs().max().item<double>(), 0.1);
  };
  expect_near(attention_TD, (*whole.block.attention)(x_TD, context, nullptr), " attention");
  expect_near(mlp_TD, (*whole.block.mlp)(x_TD, context, nullptr), " mlp");
}

TEST(Shards, LayersOfThePartsAddUpToTheWhole) {
  const at::NoGradGuard no_grad;
  for (const Family* family : families()) {
    ModelConfig config = divisible(family->name);
    config.moe = {};  // its dense layers; experts are below
    for (const int64_t size : {2, 4}) expect_sums(config, size);
  }
}

// Some neurons of every expert on each rank.
TEST(Shards, ExpertsOfThePartsAddUpToTheWhole) {
  const at::NoGradGuard no_grad;
  for (const char* family : {"deepseek_v3", "deepseek_v2", "qwen3_moe"}) {
    for (const int64_t size : {2, 4}) expect_sums(divisible(family), size, 1);
  }
}

// Fewer heads of keys and values than ranks: those whose queries ask the same one have it alike.
TEST(Shards, HeadsOfKeysAndValuesMayBeHeldByMany) {
  const at::NoGradGuard no_grad;
  ModelConfig config = divisible("llama");
  for (const int64_t heads : {1, 2}) {
    config.num_key_value_heads = heads;
    expect_sums(config, 4);
    const Parts whole(config, 0, {});
    for (const WeightRow& row : whole.rows) {
      if (!row.name.ends_with(".k")) continue;
      const Tensor w = noise(row.shape, 3);
      std::vector<Tensor> shards;
      for (int64_t rank = 0; rank < 4; ++rank) shards.push_back(shard_of(row, w, {rank, 4}));
      EXPECT_TRUE(aten::equal(shards[0], shards[1]));
      EXPECT_EQ(aten::equal(shards[1], shards[2]), heads == 1);
      EXPECT_TRUE(aten::equal(join_shards(row, shards), w));
      for (int64_t rank = 0; rank < 4; ++rank) EXPECT_EQ(is_counted(row, {rank, 4}), heads == 1 ? rank == 0 : rank % 2 == 0);
    }
  }
}

TEST(Shards, SayWhatCannotBeSharedOut) {
  const auto error_of = [](const std::function<void()>& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  ModelConfig c = divisible("llama");
  EXPECT_NE(error_of([&] { shard_config(c, {0, 3}); }).find("num_attention_heads 8 cannot be shared out among 3 ranks"), std::string::npos);
  EXPECT_EQ(shard_config(c, {0, 8}).num_key_value_heads, 1);
  EXPECT_EQ(kv_copies(c, 8), 2);
  c.num_attention_heads = 12, c.num_key_value_heads = 4;
  EXPECT_NE(error_of([&] {
              shard_config(c, {0, 6});
            }).find("num_key_value_heads 4 cannot be shared out among 6 ranks: neither"),
            std::string::npos);
  c = divisible("llama");
  c.vocab_size = 61;
  EXPECT_NE(error_of([&] { shard_config(c, {0, 2}); }).find("vocab_size 61"), std::string::npos);
  c = divisible("llama");
  c.ffn_dropout = 0.1;
  EXPECT_NE(error_of([&] { shard_config(c, {0, 2}); }).find("ffn_dropout"), std::string::npos);
  c = divisible("qwen3_moe");
  c.moe.moe_intermediate_size = 21;
  EXPECT_NE(error_of([&] { shard_config(c, {0, 2}); }).find("moe_intermediate_size 21"), std::string::npos);
  c = divisible("llama");
  EXPECT_NE(error_of([&] { shard_config(c, {2, 2}); }).find("expected a rank below"), std::string::npos);
  c.ffn = "topk_sparse";
  EXPECT_NE(error_of([&] { shard_config(c, {0, 2}); }).find("ffn topk_sparse"), std::string::npos);
  WeightRow row;
  row.name = "w";
  row.shape = row.whole_shape = {6, 2};
  row.shard_axis = 0;
  EXPECT_NE(error_of([&] {
              shard_of(row, aten::zeros({6, 2}), {0, 4});
            }).find("w: axis 0 of [6, 2] cannot be cut into 1 x 4 parts"),
            std::string::npos);
}

}  // namespace
}  // namespace r1::model
