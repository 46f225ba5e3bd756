// The network against itself: training form and engine form, checkpointing, seeds.
#include "r1/model/transformer.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <limits>

#include "engine_form.h"
#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/model/footprint.h"
#include "r1/ops/logprob.h"
#include "r1/tensor/aten.h"
#include "tests/cuda_device.h"

namespace r1::model {
namespace {

TEST(Transformer, WeightsAreAFunctionOfTheSeed) {
  Transformer a(tiny(), at::kCPU, at::kFloat), b(tiny(), at::kCPU, at::kFloat), c(tiny(), at::kCPU, at::kFloat);
  a.init_weights(1);
  b.init_weights(1);
  c.init_weights(2);
  for (size_t i = 0; i < a.weights().size(); ++i) {
    EXPECT_TRUE(aten::equal(*a.weights()[i].tensor, *b.weights()[i].tensor)) << a.weights()[i].name;
    if (a.weights()[i].kind == WeightKind::kMatrix) {
      EXPECT_FALSE(aten::equal(*a.weights()[i].tensor, *c.weights()[i].tensor)) << a.weights()[i].name;
      EXPECT_NEAR(a.weights()[i].tensor->std().item<double>(), 0.2, 0.02) << a.weights()[i].name;
    }
  }
}

TEST(Transformer, CountsItsParameters) {
  for (const char* family : {"llama", "qwen2", "qwen3", "deepseek_v3", "gpt2", "gemma3_text"}) {
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

// What a config allows costs nothing until a text is that long.
TEST(Transformer, AnAbsurdContextTakesNoMemory) {
  for (const char* family : {"llama", "deepseek_v3", "gemma3_text"}) {
    ModelConfig c = tiny(family), huge = c;
    huge.max_position_embeddings = 1'000'000'000;
    Transformer a(c, at::kCPU, at::kFloat), b(huge, at::kCPU, at::kFloat);
    a.init_weights(1);
    b.init_weights(1);
    const at::NoGradGuard no_grad;
    for (const int32_t n : {17, 200, 30}) {
      const Tensor ids = random_ids(n, 61, 3);
      EXPECT_TRUE(aten::equal(a.hidden(ids, packed({n})), b.hidden(ids, packed({n})))) << family << " " << n;
    }
    EXPECT_THROW(a.hidden(random_ids(300, 61, 3), packed({300})), Error);
  }
}

TEST(Transformer, AttentionFactorIsTheScaleOfYarn) {
  ModelConfig by_mscale = tiny("llama");
  by_mscale.rope = {.type = "yarn", .factor = 4, .original_max_position_embeddings = 64, .mscale = 1, .mscale_all_dim = 1};
  ModelConfig by_factor = by_mscale, by_rule = by_mscale;
  by_factor.rope.mscale = by_factor.rope.mscale_all_dim = by_rule.rope.mscale = by_rule.rope.mscale_all_dim = 0;
  by_factor.rope.attention_factor = 1;
  const at::NoGradGuard no_grad;
  const auto hidden = [](const ModelConfig& c) {
    Transformer model(c, at::kCPU, at::kFloat);
    model.init_weights(1);
    return model.hidden(random_ids(40, 61, 3), packed({40}));
  };
  EXPECT_TRUE(aten::equal(hidden(by_mscale), hidden(by_factor)));
  EXPECT_FALSE(aten::equal(hidden(by_mscale), hidden(by_rule)));
}

// Gradients of every weight for one packed batch.
std::vector<Tensor> gradients(Transformer& model, bool checkpointing, double dropout) {
  nn::LayerContext context = packed({5, 11, 1});
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
  for (const auto& [family, dropout] : std::vector<std::pair<const char*, double>>{{"qwen3", 0.0}, {"qwen3", 0.3}, {"deepseek_v3", 0.3}}) {
    Transformer model(tiny(family), at::kCPU, at::kFloat);
    model.init_weights(5);
    model.set_requires_grad(true);
    const auto plain = gradients(model, false, dropout), again = gradients(model, true, dropout);
    for (size_t i = 0; i < plain.size(); ++i) {
      if (model.weights()[i].kind == WeightKind::kBuffer) continue;
      ASSERT_TRUE(plain[i].defined() && again[i].defined()) << model.weights()[i].name;
      EXPECT_TRUE(aten::equal(plain[i], again[i])) << model.weights()[i].name;
    }
  }
}

TEST(Transformer, CheckpointingGivesTheSameBitsInBf16) {
  Transformer model(tiny(), at::kCPU, at::kBFloat16);
  model.init_weights(5);
  model.set_requires_grad(true);
  const auto plain = gradients(model, false, 0.1), again = gradients(model, true, 0.1);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(aten::equal(plain[i], again[i])) << model.weights()[i].name;
}

void test_gradients_and_threads(const char* family) {
  Transformer model(tiny(family), at::kCPU, at::kFloat);
  model.init_weights(5);
  model.set_requires_grad(true);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = gradients(model, false, 0.1);
  for (const int n : {2, 3}) {
    at::set_num_threads(n);
    const auto more = gradients(model, false, 0.1);
    for (size_t i = 0; i < one.size(); ++i) {
      if (model.weights()[i].kind == WeightKind::kBuffer) continue;
      EXPECT_TRUE(aten::equal(one[i], more[i])) << model.weights()[i].name << ", threads " << n;
    }
  }
  at::set_num_threads(threads);
}
TEST(Transformer, GradientsDoNotDependOnThreads) {
  for (const char* family : {"qwen2", "deepseek_v3"}) test_gradients_and_threads(family);
}

TEST(Transformer, FrozenWeightsGetNoGradient) {
  Transformer model(tiny(), at::kCPU, at::kFloat);
  model.init_weights(5);
  find_weight(model.weights(), "layers.1.mlp.up").tensor->set_requires_grad(true);
  for (const bool checkpointing : {false, true}) {
    const auto grads = gradients(model, checkpointing, 0);
    for (size_t i = 0; i < grads.size(); ++i)
      EXPECT_EQ(grads[i].defined(), model.weights()[i].name == "layers.1.mlp.up") << model.weights()[i].name;
  }
}

TEST(Transformer, ObserverSeesEveryLayer) {
  const at::NoGradGuard no_grad;
  Transformer model(tiny(), at::kCPU, at::kFloat);
  model.init_weights(5);
  find_weight(model.weights(), "layers.1.mlp.down").tensor->fill_(std::numeric_limits<float>::quiet_NaN());
  std::vector<std::pair<int, bool>> seen;
  ForwardOptions options;
  options.observe = [&](int layer, const Tensor& x_TD) { seen.emplace_back(layer, x_TD.isfinite().all().item<bool>()); };
  model.hidden(random_ids(3, 61, 1), packed({3}), nullptr, options);
  EXPECT_EQ(seen, (std::vector<std::pair<int, bool>>{{-1, true}, {0, true}, {1, false}, {2, false}}));
}

TEST(Transformer, SaysWhatItExpected) {
  Transformer model(tiny(), at::kCPU, at::kFloat);
  model.init_weights(1);
  EXPECT_THROW(model.hidden(random_ids(3, 61, 1), packed({4})), Error);
  const nn::LayerContext far{ops::sequences_on(at::kCPU, {.cu_seqlens = {0, 2}, .positions = {0, 256}})};
  try {
    model.hidden(random_ids(2, 61, 1), far);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "[transformer] expected positions below max_position_embeddings = 256, got 256");
  }
  const nn::LayerContext paged{ops::sequences_on(at::kCPU, {.cu_seqlens = {0, 2}, .context_lens = {0}, .block_tables = {{0}}})};
  EXPECT_THROW(model.hidden(random_ids(2, 61, 1), paged), Error);
  nn::LayerContext bare;
  bare.sequences.cu_seqlens = {0, 2};
  try {
    model.hidden(random_ids(2, 61, 1), bare);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "[transformer] expected sequences made by ops::sequences_on(cpu), got bare lists");
  }
}

// ---- invariant mode: the engine's rows are the trainer's rows, bit for bit.

TEST(Invariance, Fp32EngineRowsAreTheTrainersRows) {
  for (const char* family : {"llama", "qwen2", "qwen3", "deepseek_v3", "gpt2", "gemma3_text"}) test_invariance(at::kFloat, tiny(family));
}
// Holds as long as ATen's bf16 product treats rows alike (tests/ops/rows_test.cc).
TEST(Invariance, Bf16EngineRowsAreTheTrainersRows) {
  for (const char* family : {"llama", "deepseek_v3"}) test_invariance(at::kBFloat16, tiny(family));
}

TEST(Invariance, PackingDoesNotMatter) {
  const at::NoGradGuard no_grad;
  Transformer model(tiny(), at::kCPU, at::kFloat);
  model.init_weights(7);
  const Tensor ids = random_ids(60, 61, 8), all = model.hidden(ids, packed({37, 5, 18}));
  EXPECT_TRUE(aten::equal(model.hidden(ids.narrow(0, 37, 5), packed({5})), all.narrow(0, 37, 5)));
  EXPECT_TRUE(aten::equal(model.hidden(ids.narrow(0, 42, 18), packed({18})), all.narrow(0, 42, 18)));
}

// The same network on both devices, fp32 against fp32.
TEST(Transformer, EqualsTheCpuCuda) {
  SKIP_WITHOUT_CUDA();
  for (const char* family : {"llama", "qwen2", "qwen3", "deepseek_v3", "gpt2", "gemma3_text"}) {
    Transformer cpu(tiny(family), at::kCPU, at::kFloat), cuda(tiny(family), at::kCUDA, at::kFloat);
    cpu.init_weights(3);
    cuda.init_weights(3);
    const Tensor ids = random_ids(60, 61, 8);
    Tensor losses[2];
    for (Transformer* model : {&cpu, &cuda}) {
      model->set_requires_grad(true);
      const Tensor x = model->hidden(ids.to(model->device()), packed({37, 5, 18}, model->device()));
      Tensor& loss = losses[model == &cuda];
      loss = -ops::linear_logprob(x, model->head(), ids.to(model->device())).logprob_T.mean();
      loss.backward();
    }
    EXPECT_NEAR(losses[0].item<double>(), losses[1].item<double>(), 1e-4) << family;
    for (size_t i = 0; i < cpu.weights().size(); ++i) {
      if (cpu.weights()[i].kind == WeightKind::kBuffer) continue;
      const Tensor a = cpu.weights()[i].tensor->grad(), b = cuda.weights()[i].tensor->grad().cpu();
      EXPECT_LT((a - b).abs().max().item<double>(), 1e-3 * a.abs().max().item<double>() + 1e-6) << cpu.weights()[i].name;
    }
  }
}
TEST(Transformer, EngineFormEqualsTrainingFormCuda) {
  SKIP_WITHOUT_CUDA();
  const at::NoGradGuard no_grad;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const char* family : {"llama", "deepseek_v3"}) {
      Transformer model(tiny(family), at::kCUDA, dtype);
      model.init_weights(7);
      const Tensor ids = random_ids(50, 61, 8).to(at::kCUDA), want = model.hidden(ids, packed({50}, at::kCUDA));
      auto caches = new_caches(model, 8);
      Running r{ids, {5, 0, 3, 1}, 0, {}};
      for (const int64_t count : {17, 1, 1, 31}) engine_step(model, caches, {&r}, {count});
      EXPECT_LT((aten::cat(r.rows, 0).to(at::kFloat) - want.to(at::kFloat)).abs().max().item<double>(), dtype == at::kFloat ? 1e-3 : 0.15)
          << family << " " << dtype;
    }
  }
}

// Rows that are no tokens' embeddings go through the network as tokens' do.
TEST(HiddenFrom, IsTheRestOfHidden) {
  for (const char* family : {"llama", "deepseek_v3", "gpt2", "gemma3_text"}) {
    Transformer model(tiny(family), at::kCPU, at::kFloat);
    model.init_weights(3);
    const auto context = packed({9, 4});
    const Tensor ids = random_ids(13, 61, 4), want = model.hidden(ids, context);
    EXPECT_TRUE(aten::equal(model.hidden_from(model.embed(ids), context), want)) << family;
    const Tensor x_TD = (model.embed(ids) + 0.01).requires_grad_();
    const Tensor y_TD = model.hidden_from(x_TD, context);
    EXPECT_FALSE(aten::equal(y_TD, want)) << family;
    y_TD.sum().backward();
    EXPECT_GT(x_TD.grad().abs().max().item<double>(), 0) << family;
    EXPECT_THROW(model.hidden_from(x_TD.narrow(0, 0, 12), context), Error);
    EXPECT_THROW(model.hidden_from(x_TD.narrow(1, 0, 20), context), Error);
  }
}

}  // namespace
}  // namespace r1::model
