// Parity with transformers: tiny random-weight models of each family (tests/oracles/model_golden.py), their logits, and loss and gradients
// of one step.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "r1/base/json.h"
#include "r1/model/transformer.h"
#include "r1/ops/logprob.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"

namespace r1::model {
namespace {

const fs::path kModels = fs::path(R1_SOURCE_DIR) / "tests/golden/models";

std::unique_ptr<Transformer> load(const std::string& name, const char* config_file, at::ScalarType dtype = at::kFloat) {
  const at::NoGradGuard no_grad;
  const fs::path folder = kModels / name;
  auto model = std::make_unique<Transformer>(config_from_hf(parse_json_file(folder / config_file), config_file), at::kCPU, dtype);
  const SafetensorsFile file = SafetensorsFile::open(folder / "model.safetensors");
  size_t read = 0;
  for (const WeightRow& row : model->weights()) {
    for (const StoredWeight& part : stored_weights(row)) {
      const SafeTensor* stored = file.find(part.name);
      check(stored != nullptr, name, " has no ", part.name);
      EXPECT_EQ(stored->shape, part.tensor.sizes().vec()) << part.name;
      tensor::read_safetensor_into(file, *stored, part.tensor);
      ++read;
    }
  }
  EXPECT_EQ(file.tensors().size(), read) << name;
  return model;
}

struct Golden {
  SafetensorsFile file;
  Tensor ids, logits;
  nn::LayerContext context;
  Tensor operator[](const std::string& name) const {
    const SafeTensor* t = file.find(name);
    check(t != nullptr, "golden file has no ", name);
    return tensor::read_safetensor(file, *t);
  }
};

Golden golden(const std::string& name) {
  Golden g{SafetensorsFile::open(kModels / name / "golden.safetensors"), {}, {}, {}};
  g.ids = g["ids"];
  g.logits = g["logits"];
  const Tensor cu = g["cu_seqlens"];
  g.context.sequences =
      ops::sequences_on(at::kCPU, std::vector<int32_t>(cu.const_data_ptr<int32_t>(), cu.const_data_ptr<int32_t>() + cu.numel()));
  return g;
}

class Parity : public ::testing::TestWithParam<const char*> {};

TEST_P(Parity, LogitsEqualTransformers) {
  const at::NoGradGuard no_grad;
  const Golden g = golden(GetParam());
  for (const char* spelling : {"config.json", "config_v4.json"}) {
    const auto model = load(GetParam(), spelling);
    const Tensor logits = model->logits(model->hidden(g.ids, g.context));
    const double distance = (logits - g.logits).abs().max().item<double>();
    EXPECT_LT(distance, 2e-5) << spelling << ", largest logit " << g.logits.abs().max().item<double>();
  }
}

TEST_P(Parity, Bf16LogitsAreNear) {
  const at::NoGradGuard no_grad;
  const Golden g = golden(GetParam());
  const auto model = load(GetParam(), "config.json", at::kBFloat16);
  const Tensor logits = model->logits(model->hidden(g.ids, g.context));
  // In bf16 a router chooses otherwise for some tokens of such tiny models; where no expert is exchanged all is near.
  const double near = model->config().moe_layer(model->num_layers() - 1) ? 0.15 : 0.03;
  EXPECT_LT((logits - g.logits).norm().item<double>(), near * g.logits.norm().item<double>());
}

INSTANTIATE_TEST_SUITE_P(Families, Parity,
                         ::testing::Values("llama", "llama_rope3_tied", "llama_linear_bias", "qwen2", "qwen3", "deepseek_v3_dense",
                                           "deepseek_v3_dense_plain", "deepseek_v3_dense_ratio", "deepseek_v3", "deepseek_v3_plain",
                                           "deepseek_v2_lite", "deepseek_v2_groups", "qwen3_moe", "qwen3_moe_mixed", "gpt2", "gpt2_untied",
                                           "gemma3", "gemma3_linear"),
                         [](const auto& info) { return std::string(info.param); });

class GradientParity : public ::testing::TestWithParam<const char*> {};

TEST_P(GradientParity, LossAndGradientsEqualTransformers) {
  const Golden g = golden(GetParam());
  const auto model = load(GetParam(), "config.json");
  model->set_requires_grad(true);
  Tensor targets = g.ids.roll(-1);
  for (const int32_t end : g.context.sequences.cu_seqlens)
    if (end > 0) targets[end - 1].fill_(-1);
  const double count = (targets >= 0).sum().item<double>();
  const Tensor loss = -ops::linear_logprob(model->hidden(g.ids, g.context), model->head(), targets).logprob_T.sum() / count;
  EXPECT_NEAR(loss.item<double>(), g["loss"].item<double>(), 1e-5);
  loss.backward();
  for (const WeightRow& row : model->weights()) {
    if (row.kind == WeightKind::kBuffer) continue;
    std::vector<Tensor> wanted;
    for (const StoredWeight& part : stored_weights(row)) wanted.push_back(g["grad." + part.name]);
    if (row.transposed_in_hf) wanted[0] = wanted[0].t();
    const Tensor want = wanted.size() > 1 ? aten::stack(wanted) : wanted[0], got = row.tensor->grad();
    ASSERT_TRUE(got.defined()) << row.name;
    if (row.name.ends_with("k_bias")) {  // its gradient is zero but for rotation: compare with the scale of q's
      EXPECT_LT((got - want).norm().item<double>(), 1e-4 * (want.norm().item<double>() + 1e-2)) << row.name;
      continue;
    }
    EXPECT_LT((got - want).norm().item<double>(), 1e-4 * want.norm().item<double>()) << row.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, GradientParity,
                         ::testing::Values("llama", "qwen2", "qwen3", "deepseek_v3_dense", "deepseek_v3_dense_plain", "deepseek_v3",
                                           "deepseek_v3_plain", "deepseek_v2_lite", "qwen3_moe", "gpt2", "gemma3"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace r1::model
