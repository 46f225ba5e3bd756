// The network against itself: training form and engine form, checkpointing, seeds.
#include "r1/model/transformer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <numeric>

#include "r1/base/rng.h"
#include "r1/ops/logprob.h"

namespace r1::model {
namespace {

ModelConfig tiny(const std::string& family = "llama") {
  ModelConfig c;
  c.family = family;
  c.vocab_size = 61;
  c.hidden_size = 48;
  c.intermediate_size = 80;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 6;
  c.num_key_value_heads = 2;
  c.head_dim = family == "qwen3" ? 16 : 8;
  c.max_position_embeddings = 256;
  c.initializer_range = 0.2;
  return c;
}

nn::AttentionContext packed(const std::vector<int32_t>& lengths) {
  nn::AttentionContext context;
  context.cu_seqlens = {0};
  for (const int32_t n : lengths) {
    context.cu_seqlens.push_back(context.cu_seqlens.back() + n);
    for (int32_t i = 0; i < n; ++i) context.positions.push_back(i);
  }
  return context;
}

Tensor random_ids(int64_t tokens, int64_t vocab, uint64_t seed) {
  Rng rng(seed);
  std::vector<int64_t> ids(tokens);
  for (int64_t& id : ids) id = rng.between(0, vocab - 1);
  return at::tensor(ids, at::kLong);
}

TEST(Transformer, WeightsAreAFunctionOfTheSeed) {
  Transformer a(tiny(), at::kCPU, at::kFloat), b(tiny(), at::kCPU, at::kFloat), c(tiny(), at::kCPU, at::kFloat);
  a.init_weights(1);
  b.init_weights(1);
  c.init_weights(2);
  for (size_t i = 0; i < a.weights().size(); ++i) {
    EXPECT_TRUE(at::equal(*a.weights()[i].tensor, *b.weights()[i].tensor)) << a.weights()[i].name;
    if (a.weights()[i].kind == WeightKind::kMatrix) {
      EXPECT_FALSE(at::equal(*a.weights()[i].tensor, *c.weights()[i].tensor)) << a.weights()[i].name;
      EXPECT_NEAR(a.weights()[i].tensor->std().item<double>(), 0.2, 0.02) << a.weights()[i].name;
    }
  }
}

TEST(Transformer, CountsItsParameters) {
  for (const char* family : {"llama", "qwen2", "qwen3"}) {
    for (const bool tied : {false, true}) {
      ModelConfig c = tiny(family);
      c.tie_word_embeddings = tied;
      const Transformer model(c, at::kCPU, at::kFloat);
      int64_t count = 0;
      for (const WeightRow& row : model.weights()) count += row.tensor->numel();
      EXPECT_EQ(count, parameter_count(c)) << family;
    }
  }
}

// Gradients of every weight for one packed batch.
std::vector<Tensor> gradients(Transformer& model, bool checkpointing, double dropout) {
  nn::AttentionContext context = packed({5, 11, 1});
  context.dropout = dropout;
  context.dropout_seed = 9;
  const Tensor ids = random_ids(17, 61, 3), targets = random_ids(17, 61, 4);
  const Tensor x = model.hidden(ids, context, nullptr, {.activation_checkpointing = checkpointing});
  const Tensor loss = -ops::linear_logprob(x, model.head(), targets).logprob_T.mean();
  loss.backward();
  std::vector<Tensor> grads;
  for (WeightRow& row : model.weights()) {
    grads.push_back(row.tensor->grad());
    row.tensor->mutable_grad() = Tensor();
  }
  return grads;
}

TEST(Transformer, CheckpointingGivesTheSameBits) {
  for (const double dropout : {0.0, 0.3}) {
    Transformer model(tiny("qwen3"), at::kCPU, at::kFloat);
    model.init_weights(5);
    model.set_requires_grad(true);
    const auto plain = gradients(model, false, dropout), again = gradients(model, true, dropout);
    for (size_t i = 0; i < plain.size(); ++i) {
      ASSERT_TRUE(plain[i].defined() && again[i].defined()) << model.weights()[i].name;
      EXPECT_TRUE(at::equal(plain[i], again[i])) << model.weights()[i].name;
    }
  }
}

TEST(Transformer, EngineFormEqualsTrainingForm) {
  const at::NoGradGuard no_grad;
  Transformer model(tiny(), at::kCPU, at::kFloat);
  model.init_weights(7);
  const std::vector<int32_t> lengths{37, 5, 18};
  const Tensor ids = random_ids(60, 61, 8);
  const Tensor want = model.hidden(ids, packed(lengths));
  std::vector<nn::LayerCache> caches;
  for (int i = 0; i < model.num_layers(); ++i) caches.push_back(at::zeros({8, model.cache_bytes(i, 16)}, at::kByte));
  nn::PagedSequences paged;
  paged.context_lens = {0, 0, 0};
  paged.block_tables = {{5, 0, 3}, {1}, {7, 2}};
  nn::AttentionContext context = packed(lengths);
  context.paged = &paged;
  const Tensor got = model.hidden(ids, context, &caches);
  EXPECT_LT((want - got).abs().max().item<double>(), 1e-4);
}

}  // namespace
}  // namespace r1::model
