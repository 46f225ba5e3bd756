// Models in DeepSeek's 8 bit form, written and read, and models in hundreds of shards.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/base/safetensors_file.h"
#include "r1/model/weights_io.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/fp8_block.h"
#include "r1/tensor/safetensors.h"
#include "tests/temporary_folder.h"
#include "tiny_model.h"

namespace r1::model {
namespace {

// Matrices wider than a block, with ragged edges.
std::unique_ptr<Transformer> model_of(const std::string& family, bool experts = true) {
  ModelConfig c = tiny(family);
  if (!experts) c.moe = {};
  c.hidden_size = 144;
  c.intermediate_size = 200;
  auto model = std::make_unique<Transformer>(c, at::kCPU, at::kFloat);
  model->init_weights(3);
  return model;
}

bool in_8_bits(const WeightRow& row) {
  return row.kind == WeightKind::kMatrix && row.quantizable;
}

TEST(Fp8Model, RoundTripIsTheRoundedModel) {
  const at::NoGradGuard no_grad;
  for (const char* family : {"deepseek_v3", "llama"}) {
    const TemporaryFolder folder("fp8");
    const auto model = model_of(family);
    save_model(*model, folder.path(), at::kFloat8_e4m3fn);
    EXPECT_EQ(
        parse_json_file(folder.path() / "config.json")["quantization_config"],
        parse_json(R"({"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]})", "q"));
    const SafetensorsFile file = SafetensorsFile::open(folder.path() / "model.safetensors");
    const auto loaded = load_model(folder.path(), at::kCPU, at::kFloat);
    EXPECT_EQ(loaded->config().torch_dtype, "bfloat16");
    for (size_t i = 0; i < model->weights().size(); ++i) {
      const WeightRow& row = model->weights()[i];
      const SafeType type = in_8_bits(row) ? SafeType::kF8E4M3 : row.kind == WeightKind::kBuffer ? SafeType::kF32 : SafeType::kBF16;
      const std::vector<StoredWeight> parts = stored_weights(row), read = stored_weights(loaded->weights()[i]);
      for (size_t p = 0; p < parts.size(); ++p) {
        Tensor want = type == SafeType::kF32 ? parts[p].tensor : parts[p].tensor.to(at::kBFloat16).to(at::kFloat);
        if (in_8_bits(row)) tensor::from_fp8_blocks(tensor::to_fp8_blocks(parts[p].tensor), want);
        EXPECT_TRUE(aten::equal(read[p].tensor, want)) << parts[p].name;
        EXPECT_EQ(file.find(parts[p].name)->type, type) << parts[p].name;
        EXPECT_EQ(file.find(parts[p].name + "_scale_inv") != nullptr, in_8_bits(row)) << parts[p].name;
      }
    }
    const SafeTensor* router = file.find("model.layers.1.mlp.gate.weight");  // published in 16 bits
    EXPECT_TRUE(!router || router->type == SafeType::kBF16);
    EXPECT_EQ(file.find("model.layers.0.mlp.up_proj.weight_scale_inv")->shape, (std::vector<int64_t>{2, 2}));
    EXPECT_EQ(file.find("lm_head.weight")->type, SafeType::kBF16);
    // Once in 8 bits a model stays as it is.
    const TemporaryFolder again("fp8_again");
    save_model(*loaded, again.path(), at::kFloat8_e4m3fn);
    const auto twice = load_model(again.path(), at::kCPU, at::kFloat);
    for (size_t i = 0; i < model->weights().size(); ++i)
      EXPECT_TRUE(aten::equal(*loaded->weights()[i].tensor, *twice->weights()[i].tensor)) << model->weights()[i].name;
  }
}

TEST(Fp8Model, LogitsStayNear) {
  const at::NoGradGuard no_grad;
  const TemporaryFolder folder("fp8");
  const auto model = model_of("deepseek_v3", false);
  save_model(*model, folder.path(), at::kFloat8_e4m3fn);
  const auto loaded = load_model(folder.path(), at::kCPU, at::kFloat);
  const Tensor ids = random_ids(30, 61, 1);
  const Tensor a = model->logits(model->hidden(ids, packed({30}))), b = loaded->logits(loaded->hidden(ids, packed({30})));
  EXPECT_LT((a - b).norm().item<double>(), 0.15 * a.norm().item<double>());
}

TEST(Fp8Model, MissingScalesAreNamed) {
  const TemporaryFolder folder("fp8");
  const auto model = model_of("deepseek_v3");
  save_model(*model, folder.path(), at::kFloat8_e4m3fn);
  const fs::path path = folder.path() / "model.safetensors";
  std::vector<SafeSource> kept;
  std::vector<Tensor> tensors;
  const SafetensorsFile file = SafetensorsFile::open(path);
  for (const SafeTensor& t : file.tensors()) {
    if (t.name == "model.layers.1.self_attn.kv_b_proj.weight_scale_inv") continue;
    tensors.push_back(tensor::read_safetensor(file, t));
    kept.push_back(tensor::safe_source(t.name, tensors.back()));
  }
  write_safetensors(path, kept);
  try {
    load_model(folder.path(), at::kCPU, at::kFloat);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("1 missing: 'model.layers.1.self_attn.kv_b_proj.weight_scale_inv'"), std::string::npos)
        << e.what();
  }
}

TEST(Shards, HundredsLoad) {
  const at::NoGradGuard no_grad;
  const TemporaryFolder folder("fp8");
  ModelConfig c = tiny("deepseek_v3");
  c.num_hidden_layers = 10;
  Transformer model(c, at::kCPU, at::kFloat);
  model.init_weights(5);
  save_model(model, folder.path(), at::kFloat, 1);  // a shard a tensor
  const Json index = parse_json_file(folder.path() / "model.safetensors.index.json");
  size_t tensors = 0;
  for (const WeightRow& row : model.weights()) tensors += stored_weights(row).size();
  EXPECT_GE(tensors, 300u);
  EXPECT_EQ(index["weight_map"].size(), tensors);
  const auto loaded = load_model(folder.path(), at::kCPU, at::kFloat);
  for (size_t i = 0; i < model.weights().size(); ++i)
    EXPECT_TRUE(aten::equal(*model.weights()[i].tensor, *loaded->weights()[i].tensor)) << model.weights()[i].name;
}

// Published files carry the module of multi-token prediction as a layer after the last; a model without takes no harm.
TEST(Shards, LayersBehindTheLastAreLeftOut) {
  const at::NoGradGuard no_grad;
  const TemporaryFolder folder("fp8");
  ModelConfig c = tiny("deepseek_v3");
  c.num_hidden_layers = 3;
  Transformer longer(c, at::kCPU, at::kFloat);
  longer.init_weights(5);
  save_model(longer, folder.path(), at::kFloat);
  c.num_hidden_layers = 2;
  Transformer model(c, at::kCPU, at::kFloat);
  load_weights(model, folder.path());
  for (const WeightRow& row : model.weights())
    EXPECT_TRUE(aten::equal(*row.tensor, *find_weight(longer.weights(), row.name).tensor)) << row.name;
}

}  // namespace
}  // namespace r1::model
