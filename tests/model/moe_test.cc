// Networks with experts: the engine's rows against the trainer's, what training records and learns by rule, files with a tensor an expert.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/safetensors_file.h"
#include "r1/model/weights_io.h"
#include "r1/ops/logprob.h"
#include "r1/tensor/aten.h"
#include "tiny_model.h"

namespace r1::model {
namespace {

std::vector<ModelConfig> networks() {
  return {tiny("qwen3_moe"), tiny_experts("sigmoid"), tiny_experts("context_sigmoid", "llama")};
}

std::unique_ptr<Transformer> make(const ModelConfig& config, at::ScalarType dtype = at::kFloat) {
  auto model = std::make_unique<Transformer>(config, at::kCPU, dtype);
  model->init_weights(7);
  return model;
}

// Two sequences through the engine form in chunks, the blocks of the second among those of the first.
Tensor engine_rows(Transformer& model, const Tensor& ids, const std::vector<int32_t>& lengths, int64_t chunk) {
  std::vector<nn::LayerCache> caches;
  for (int i = 0; i < model.num_caches(); ++i) caches.push_back(aten::full({16, model.cache_bytes(i, 16)}, 0xFF, at::kByte));
  const std::vector<std::vector<int32_t>> tables{{11, 4, 9, 0, 7}, {12, 1, 8}};
  std::vector<std::vector<Tensor>> rows(2);
  for (int32_t fed = 0; fed < std::max(lengths[0], lengths[1]); fed += int32_t(chunk)) {
    nn::LayerContext context;
    ops::Sequences& sequences = context.sequences;
    sequences.cu_seqlens = {0};
    std::vector<Tensor> part;
    std::vector<size_t> who;
    for (size_t s = 0; s < 2; ++s) {
      const int32_t count = std::min(int32_t(chunk), lengths[s] - fed);
      if (count <= 0) continue;
      who.push_back(s);
      sequences.context_lens.push_back(fed);
      sequences.block_tables.push_back(tables[s]);
      part.push_back(ids.narrow(0, (s ? lengths[0] : 0) + fed, count));
      sequences.cu_seqlens.push_back(sequences.cu_seqlens.back() + count);
    }
    sequences = ops::sequences_on(at::kCPU, std::move(sequences));
    const Tensor x = model.hidden(aten::cat(part, 0), context, &caches);
    for (size_t i = 0; i < who.size(); ++i) rows[who[i]].push_back(x.narrow(0, sequences.cu_seqlens[i], sequences.rows_of(int64_t(i))));
  }
  return aten::cat({aten::cat(rows[0], 0), aten::cat(rows[1], 0)}, 0);
}

TEST(Experts, EngineRowsAreTheTrainersRows) {
  const at::NoGradGuard no_grad;
  const int threads = at::get_num_threads();
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const ModelConfig& config : networks()) {
      const auto model = make(config, dtype);
      const Tensor ids = random_ids(110, 61, 8), want = model->hidden(ids, packed({75, 35}));
      EXPECT_EQ(model->num_caches(), config.num_hidden_layers + (config.moe.gate == "context_sigmoid" ? 2 : 0));
      for (const int64_t chunk : {1, 3, 17, 75}) {
        at::set_num_threads(chunk % 2 ? 1 : 2);
        EXPECT_TRUE(aten::equal(engine_rows(*model, ids, {75, 35}, chunk), want)) << config.family << " " << dtype << " chunk " << chunk;
      }
      EXPECT_TRUE(aten::equal(model->hidden(ids.narrow(0, 75, 35), packed({35})), want.narrow(0, 75, 35))) << config.family;
    }
  }
  at::set_num_threads(threads);
}

struct Step {
  std::vector<Tensor> gradients;
  nn::ForwardRecord record;
};

Step step(Transformer& model, const std::vector<std::vector<int32_t>>& micro_batches, bool checkpointing = false) {
  Step out;
  model.set_requires_grad(true);
  int32_t total = 0, begin = 0;
  for (const auto& lengths : micro_batches)
    for (const int32_t n : lengths) total += n;
  const Tensor ids = random_ids(total, 61, 3), targets = random_ids(total, 61, 4);
  for (const auto& lengths : micro_batches) {
    nn::LayerContext context = packed(lengths);
    const int32_t count = context.sequences.cu_seqlens.back();
    context.aux_scale = double(count) / total;
    context.record = &out.record;
    const Tensor x = model.hidden(ids.narrow(0, begin, count), context, nullptr, {.activation_checkpointing = checkpointing});
    (ops::linear_logprob(x, model.head(), targets.narrow(0, begin, count)).logprob_T.sum() * (-1.0 / total)).backward();
    begin += count;
  }
  for (WeightRow& row : model.weights()) {
    out.gradients.push_back(row.tensor->grad());
    row.tensor->mutable_grad() = Tensor();
  }
  return out;
}

TEST(Experts, CheckpointingGivesTheSameBitsAndRecordsOnce) {
  for (ModelConfig config : networks()) {
    config.moe.aux_loss_coef = 0.5;
    const auto model = make(config);
    const Step plain = step(*model, {{5, 11, 1}}), again = step(*model, {{5, 11, 1}}, true);
    for (size_t i = 0; i < plain.gradients.size(); ++i) {
      const WeightRow& row = model->weights()[i];
      ASSERT_EQ(plain.gradients[i].defined(), row.kind != WeightKind::kBuffer) << row.name;
      EXPECT_TRUE(!plain.gradients[i].defined() || aten::equal(plain.gradients[i], again.gradients[i])) << row.name;
    }
    ASSERT_EQ(plain.record.sums.size(), 4u) << "load and balance loss of two layers";
    for (const auto& [name, value] : plain.record.sums) EXPECT_TRUE(aten::equal(value, again.record.sums.at(name))) << name;
    EXPECT_EQ(plain.record.sums.at("layers.1.mlp.load").sum().item<double>(), 17 * config.moe.num_experts_per_tok);
  }
}

// The balance loss is in the gradients as if it had been added to the loss, whatever the cut into micro-batches.
TEST(Experts, TheBalanceLossJoinsTheStepsLoss) {
  for (ModelConfig config : networks()) {
    config.moe.aux_loss = "sequence";
    const auto without = make(config);
    config.moe.aux_loss_coef = 2;
    const auto with = make(config);
    const Step a = step(*without, {{5, 12, 3}}), b = step(*with, {{5, 12, 3}}), c = step(*with, {{5}, {12, 3}});
    double moved = 0;
    for (size_t i = 0; i < b.gradients.size(); ++i) {
      if (!b.gradients[i].defined()) continue;
      EXPECT_LT((b.gradients[i] - c.gradients[i]).norm().item<double>(), 1e-4 * b.gradients[i].norm().item<double>() + 1e-7)
          << with->weights()[i].name;
      if (with->weights()[i].name == "layers.1.mlp.router") moved = (a.gradients[i] - b.gradients[i]).norm().item<double>();
    }
    EXPECT_GT(moved, 1e-3) << config.family;
    for (const auto& [name, value] : b.record.sums) EXPECT_TRUE(aten::allclose(value, c.record.sums.at(name), 1e-5, 1e-6)) << name;
  }
}

// d(loss + alpha balance) / d(router) against central differences of the two as the model reports them.
TEST(Experts, RouterGradientAgainstDifferences) {
  ModelConfig config = tiny_experts("context_sigmoid", "llama");
  config.moe.aux_loss_coef = 0.7;
  config.moe.aux_loss = "square";
  const auto model = make(config);
  const Step analytic = step(*model, {{9, 20}});
  size_t index = 0;
  while (model->weights()[index].name != "layers.2.mlp.router") ++index;
  const Tensor weight = model->weights()[index].tensor->detach();
  const auto loss = [&] {
    const at::NoGradGuard no_grad;
    nn::ForwardRecord record;
    nn::LayerContext context = packed({9, 20});
    context.aux_scale = 1;
    context.record = &record;
    const Tensor x = model->hidden(random_ids(29, 61, 3), context);
    double sum = -ops::linear_logprob(x, model->head(), random_ids(29, 61, 4)).logprob_T.to(at::kDouble).mean().item<double>();
    return sum + config.moe.aux_loss_coef * record.sums.at("layers.2.mlp.balance_loss").item<double>();
  };
  const float by = 3e-3f;
  double error = 0, norm = 0;
  for (int64_t i = 0; i < weight.numel(); i += 31) {
    float& w = weight.mutable_data_ptr<float>()[i];
    const float before = w;
    w = before + by;
    const double up = loss();
    w = before - by;
    const double down = loss();
    w = before;
    const double numeric = (up - down) / (2.0 * by), got = analytic.gradients[index].const_data_ptr<float>()[i];
    error += (numeric - got) * (numeric - got);
    norm += got * got;
  }
  EXPECT_GT(norm, 0);
  EXPECT_LT(std::sqrt(error), 0.03 * std::sqrt(norm));
}

TEST(Experts, TheBiasMovesAgainstTheLoad) {
  const at::NoGradGuard no_grad;
  ModelConfig config = tiny_experts();
  config.moe.bias_update_speed = 0.25;
  const auto model = make(config);
  nn::ForwardRecord record;
  record.add("layers.2.mlp.load", aten::tensor({5.0f, 3.0f, 4.0f, 4.0f, 0.0f, 8.0f, 4.0f, 4.0f}));
  model->after_step(record);
  const Tensor moved = *find_weight(model->weights(), "layers.2.mlp.router_bias").tensor;
  EXPECT_TRUE(aten::equal(moved, aten::tensor({-0.25f, 0.25f, 0.0f, 0.0f, 0.25f, -0.25f, 0.0f, 0.0f})));
  EXPECT_TRUE(aten::equal(*find_weight(model->weights(), "layers.1.mlp.router_bias").tensor, aten::zeros_like(moved)))
      << "nothing was recorded";
}

TEST(Experts, TheBiasIsFp32InAnyModel) {
  const auto model = make(tiny_experts(), at::kBFloat16);
  const WeightRow& row = find_weight(model->weights(), "layers.1.mlp.router_bias");
  EXPECT_EQ(row.tensor->scalar_type(), at::kFloat);
  EXPECT_EQ(row.kind, WeightKind::kBuffer);
  EXPECT_EQ(row.hf_name, "model.layers.1.mlp.gate.e_score_correction_bias");
}

class Folder {
 public:
  explicit Folder(const char* name) : path(fs::temp_directory_path() / str("r1_", name, "_", ::getpid())) { make_folder(path); }
  ~Folder() { fs::remove_all(path); }
  const fs::path path;
};

TEST(Experts, FilesHaveATensorForEachExpert) {
  const at::NoGradGuard no_grad;
  for (const ModelConfig& config : networks()) {
    const Folder folder("experts");
    const auto model = make(config);
    for (WeightRow& row : model->weights()) {
      if (row.kind == WeightKind::kBuffer) row.tensor->normal_();
    }
    save_model(*model, folder.path, at::kFloat, 100'000);
    const SafetensorsIndex index = read_safetensors_index(folder.path / kSafetensorsIndex);
    EXPECT_EQ(index.weight_map.count("model.layers.1.mlp.experts.7.down_proj.weight"), 1u);
    EXPECT_EQ(index.weight_map.count("model.layers.1.mlp.experts.*.down_proj.weight"), 0u);
    const auto back = load_model(folder.path, at::kCPU, at::kFloat);
    EXPECT_EQ(back->config().moe.gate, config.moe.gate);
    for (size_t i = 0; i < model->weights().size(); ++i)
      EXPECT_TRUE(aten::equal(*model->weights()[i].tensor, *back->weights()[i].tensor)) << model->weights()[i].name;
  }
}

TEST(Experts, AMissingExpertIsNamed) {
  const Folder folder("missing_expert");
  ModelConfig config = tiny("qwen3_moe");
  config.moe.n_routed_experts = 7;
  save_model(*make(config), folder.path, at::kFloat);
  Json json = parse_json_file(folder.path / "config.json");
  json["num_experts"] = 8;
  write_file_atomic(folder.path / "config.json", dump_json(json));
  try {
    load_model(folder.path, at::kCPU, at::kFloat);
    FAIL();
  } catch (const Error& e) {
    const std::string what = e.what();
    EXPECT_NE(what.find("6 missing: 'model.layers.0.mlp.experts.7.gate_proj.weight'"), std::string::npos) << what;
    EXPECT_NE(what.find("'model.layers.0.mlp.gate.weight' (expected [8, 48], got [7, 48])"), std::string::npos) << what;
  }
}

TEST(Experts, Qwen3MoeConfigThereAndBack) {
  ModelConfig config = tiny("qwen3_moe");
  config.moe.first_k_dense_replace = 1;
  config.moe.aux_loss_coef = 0.01;
  finish_config(config);
  const Json json = config_to_hf(config);
  EXPECT_EQ(json["model_type"], "qwen3_moe");
  EXPECT_EQ(json["architectures"][0], "Qwen3MoeForCausalLM");
  EXPECT_EQ(json["mlp_only_layers"], Json({0}));
  EXPECT_FALSE(json.contains("r1")) << json["r1"].dump();
  EXPECT_EQ(config_to_hf(config_from_hf(json, "c")), json);
  const auto refusal = [&](const char* key, const Json& value) -> std::string {
    Json other = json;
    other[key] = value;
    try {
      config_from_hf(other, "c");
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(refusal("decoder_sparse_step", 2), "c: decoder_sparse_step = 2 is not supported (1 is)");
  EXPECT_NE(refusal("mlp_only_layers", Json({1})).find("mlp_only_layers"), std::string::npos);
  EXPECT_NE(refusal("num_experts_per_tok", 9).find("num_experts_per_tok must be 1 to n_routed_experts = 8"), std::string::npos);
  // A router that no published Qwen3 has is said to be ours.
  config.moe.gate = "context_sigmoid";
  EXPECT_EQ(config_to_hf(config)["model_type"], "r1");
}

}  // namespace
}  // namespace r1::model
