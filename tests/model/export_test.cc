// Our export, loaded by transformers, gives the logits we compute. Runs where R1_ORACLE_PYTHON names a Python with transformers.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/model/weights_io.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"
#include "tiny_model.h"

namespace r1::model {
namespace {

std::vector<ModelConfig> exported_configs() {
  std::vector<ModelConfig> configs{tiny("llama"), tiny("llama"), tiny("llama"),     tiny("qwen2"),
                                   tiny("qwen3"), tiny("qwen3"), tiny("qwen3_moe"), tiny("qwen3_moe")};
  configs[1].rope = {.type = "llama3", .factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_max_position_embeddings = 32};
  configs[1].tie_word_embeddings = true;
  configs[2].rope = {.type = "linear", .factor = 4};
  configs[2].attention_bias = true;
  configs[2].rope_theta = 1e5;
  configs[3].tie_word_embeddings = true;
  configs[4].rope_theta = 1e6;
  configs[5].attention_bias = true;
  configs[7].moe.norm_topk_prob = false;
  configs[7].moe.first_k_dense_replace = 1;
  for (const char* family : {"deepseek_v3", "deepseek_v3", "deepseek_v2"}) configs.push_back(tiny(family));
  configs[8].rope = {.type = "yarn", .factor = 8, .original_max_position_embeddings = 32, .mscale = 1, .mscale_all_dim = 1};
  configs[9].mla.q_lora_rank = 0;
  configs[9].moe.n_group = configs[9].moe.topk_group = 1;
  configs[9].moe.first_k_dense_replace = 0;
  configs[9].attention_bias = true;
  configs[10].moe.n_group = 4, configs[10].moe.topk_group = 2;
  for (const char* family : {"gpt2", "gpt2", "gemma3_text", "gemma3_text"}) configs.push_back(tiny(family));
  configs[11].tie_word_embeddings = true;
  configs[12].intermediate_size = 4 * configs[12].hidden_size;
  configs[13].tie_word_embeddings = true;
  configs[13].attn.scale = 0.25;
  configs[14].num_hidden_layers = 3;
  configs[14].rope = {.type = "linear", .factor = 8};
  configs[14].rope_theta = 1e6;
  return configs;
}

TEST(Export, TransformersComputesTheSameLogits) {
  const char* python = std::getenv("R1_ORACLE_PYTHON");
  if (!python) GTEST_SKIP() << "R1_ORACLE_PYTHON is not set";
  const at::NoGradGuard no_grad;
  const fs::path work = fs::temp_directory_path() / str("r1-export-", ::getpid());
  make_folder(work);
  const Tensor ids = random_ids(40, 61, 3);
  write_file_atomic(work / "ids.json",
                    Json(std::vector<int64_t>(ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + 40)).dump());
  std::string command = str(python, " ", R1_SOURCE_DIR, "/tests/oracles/model_logits.py ", (work / "ids.json").string(), " ",
                            (work / "out.safetensors").string());
  std::vector<Tensor> ours;
  for (const ModelConfig& config : exported_configs()) {
    Transformer model(config, at::kCPU, at::kFloat);
    model.init_weights(11);
    for (WeightRow& row : model.weights()) {  // biases and norms that do something
      if (row.kind == WeightKind::kBias || row.kind == WeightKind::kNorm || row.kind == WeightKind::kBuffer)
        row.tensor->add_(random_ids(row.tensor->numel(), 100, 5).to(at::kFloat).view(row.shape) / 200);
    }
    const fs::path folder = work / str("model", ours.size());
    save_model(model, folder, at::kFloat);
    command += " " + folder.string();
    ours.push_back(model.logits(model.hidden(ids, packed({40}))));
  }
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  const SafetensorsFile out = SafetensorsFile::open(work / "out.safetensors");
  for (size_t i = 0; i < ours.size(); ++i) {
    const SafeTensor* theirs = out.find(str("logits.", i));
    ASSERT_NE(theirs, nullptr);
    EXPECT_LT((tensor::read_safetensor(out, *theirs) - ours[i]).abs().max().item<double>(), 1e-4) << "model " << i;
  }
  fs::remove_all(work);
}

}  // namespace
}  // namespace r1::model
