// What transformers and llama.cpp compute from the files that we write: in R1_ORACLE_PYTHON, which tests/oracles/requirements.txt makes.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "r1/base/safetensors_file.h"
#include "r1/tensor/safetensors.h"
#include "tests/temporary_folder.h"
#include "tiny_folder.h"

namespace r1::quant {
namespace {

std::vector<int64_t> probe_ids() {  // those of logits_of()
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < 40; ++i) ids.push_back(1 + i * 37 % 300);
  return ids;
}

std::string script(const char* name) {
  return str(std::getenv("R1_ORACLE_PYTHON"), " ", R1_SOURCE_DIR, "/tests/oracles/", name, " ");
}

TEST(Peers, TransformersComputesOurLogits) {
  if (!std::getenv("R1_ORACLE_PYTHON")) GTEST_SKIP() << "R1_ORACLE_PYTHON is not set";
  const TemporaryFolder folder("quant_peers");
  const fs::path& path = folder.path();
  write_text(path / "text.jsonl");
  std::string command = script("quantized_logits.py") + (path / "ids.json").string() + " " + (path / "out.safetensors").string();
  write_file_atomic(path / "ids.json", Json(probe_ids()).dump());
  std::vector<fs::path> outputs;
  for (const auto& [family, scheme] : std::vector<std::pair<std::string, std::string>>{{"llama", "gptq-4"},
                                                                                       {"llama", "gptq-8"},
                                                                                       {"llama", "awq-4"},
                                                                                       {"llama", "rtn-4"},
                                                                                       {"llama", "int8-dynamic"},
                                                                                       {"llama", "int8-static"},
                                                                                       {"llama", "fp8-block"},
                                                                                       {"gpt2", "gptq-4"},
                                                                                       {"qwen2", "awq-4"}}) {
    const fs::path model = path / ("model-" + family);
    if (!fs::exists(model)) write_tiny_model(model, family);
    QuantizeConfig config = tiny_run(path, scheme);
    config.model = model.string();
    config.output_dir = (path / (family + scheme)).string();
    config.desc_act = scheme == "gptq-4";
    if (scheme == "rtn-4") config.symmetric = "false";
    config.checkpoint_format = scheme == "gptq-8" ? "gptq_v2" : "gptq";
    outputs.push_back(run_quantize(config).output);
    command += " " + outputs.back().string();
  }
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  const SafetensorsFile out = SafetensorsFile::open(path / "out.safetensors");
  for (size_t i = 0; i < outputs.size(); ++i) {
    const SafeTensor* theirs = out.find(str("logits.", i));
    ASSERT_TRUE(theirs) << outputs[i];
    const Tensor ours = logits_of(outputs[i]), others = tensor::read_safetensor(out, *theirs);
    const double off = std::sqrt(((ours - others).square().sum() / others.square().sum()).item<double>());
    // Rounded inputs: where a value lies between two steps the two may take different ones.
    EXPECT_LT(off, outputs[i].filename().string().find("int8") == std::string::npos ? 1e-5 : 1e-2) << outputs[i];
  }
}

std::vector<int64_t> greedy_ids(const fs::path& file, std::vector<int64_t> ids, int count) {
  const at::NoGradGuard no_grad;
  const auto model = model::load_model(file, at::kCPU, at::kFloat);
  std::vector<int64_t> made;
  for (int i = 0; i < count; ++i) {
    const Tensor h_TD = model->hidden(aten::tensor(ids), {ops::sequences_of(at::kCPU, {int32_t(ids.size())})});
    made.push_back(aten::argmax(model->logits(h_TD.narrow(0, h_TD.size(0) - 1, 1)), 1).item<int64_t>());
    ids.push_back(made.back());
  }
  return made;
}

// GGUF has no kind for it; llama.cpp must load what stands for it.
text::Tokenizer whole_words() {
  std::vector<std::string> words = {"<unk>", "<end>", "<answer>", "</answer>", "start ", " "};
  for (int i = 0; i < 300; ++i) words.push_back(std::to_string(i));
  return text::Tokenizer::from_words(words, {.special = {"<end>"}, .eos = "<end>"});
}

TEST(Peers, LlamaCppSaysTheSame) {
  if (!std::getenv("R1_ORACLE_PYTHON")) GTEST_SKIP() << "R1_ORACLE_PYTHON is not set";
  const TemporaryFolder folder("quant_llama");
  const fs::path& path = folder.path();
  write_file_atomic(path / "ids.json", Json(std::vector<int64_t>{5, 40, 60, 100, 200}).dump());
  std::vector<fs::path> files;
  std::string command = script("llama_greedy.py") + (path / "ids.json").string() + " 12 " + (path / "out.json").string();
  for (const std::string family : {"llama", "qwen2", "qwen3", "gpt2", "gemma3_text", "qwen3_moe", "words"}) {
    write_tiny_model(path / family, family == "words" ? "llama" : family);
    if (family == "words") whole_words().save(path / family);
    QuantizeConfig config = tiny_gguf_run(path, "f32");
    config.model = (path / family).string();
    config.output = (path / (family + ".gguf")).string();
    config.data = {};
    files.push_back(run_quantize(config).output);
    command += " " + files.back().string();
  }
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  const Json theirs = parse_json_file(path / "out.json");
  ASSERT_EQ(theirs.size(), files.size());
  for (size_t i = 0; i < files.size(); ++i)
    EXPECT_EQ(theirs[i].get<std::vector<int64_t>>(), greedy_ids(files[i], {5, 40, 60, 100, 200}, 12)) << files[i];
}

// What llama.cpp multiplies from the blocks that we write, of rows that are whole blocks of 256. It rounds inputs to 8 bits, which is most of what is
// apart here; a block that it reads otherwise than we do is another model altogether.
TEST(Peers, LlamaCppComputesOurBlocks) {
  if (!std::getenv("R1_ORACLE_PYTHON")) GTEST_SKIP() << "R1_ORACLE_PYTHON is not set";
  const TemporaryFolder folder("quant_llama_blocks");
  const fs::path& path = folder.path();
  const std::vector<int64_t> ids = {5, 40, 60, 100, 200, 7, 8, 9};
  write_file_atomic(path / "ids.json", Json(ids).dump());
  model::ModelConfig c = tiny_config("llama");
  c.hidden_size = 256, c.intermediate_size = 512, c.head_dim = 64, c.initializer_range = 0.04;
  {
    const at::NoGradGuard no_grad;
    model::Transformer model(c, at::kCPU, at::kFloat);
    model.init_weights(3);
    model::save_model(model, path / "model", at::kBFloat16);
    tiny_tokenizer().save(path / "model");
  }
  write_text(path / "text.jsonl");
  std::vector<fs::path> files;
  std::string command =
      script("llama_logprobs.py") + (path / "ids.json").string() + str(" ", c.vocab_size, " ") + (path / "out.json").string();
  for (const std::string scheme : {"q8_0", "q4_0", "q4_k", "q6_k"}) {
    files.push_back(run_quantize(tiny_gguf_run(path, scheme)).output);
    command += " " + files.back().string();
  }
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  const Json theirs = parse_json_file(path / "out.json");
  ASSERT_EQ(theirs.size(), files.size());
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < files.size(); ++i) {
    const auto model = model::load_model(files[i], at::kCPU, at::kFloat);
    const Tensor h_TD = model->hidden(aten::tensor(ids), {ops::sequences_of(at::kCPU, {int32_t(ids.size())})});
    const Tensor logits_1V = model->logits(h_TD.narrow(0, h_TD.size(0) - 1, 1));
    const Tensor ours_V = (logits_1V - aten::logsumexp(logits_1V, {1})).view({-1});
    double apart = 0, spread = 0;
    int64_t counted = 0;
    const double mean = ours_V.mean().item<double>();
    for (int64_t v = 0; v < ours_V.size(0); ++v) {
      if (theirs[i][size_t(v)].is_null()) continue;
      const double own = ours_V[v].item<double>();
      apart += std::pow(own - theirs[i][size_t(v)].get<double>(), 2), spread += std::pow(own - mean, 2), ++counted;
    }
    EXPECT_GT(counted, 300) << files[i];
    EXPECT_LT(std::sqrt(apart / spread), 0.03) << files[i];
  }
}

}  // namespace
}  // namespace r1::quant
