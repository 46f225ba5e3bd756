// Whole models: every scheme is written, loads, and computes what the quantizer said; what is killed goes on to the same bytes.
#include "r1/quant/quantize.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>

#include "r1/base/safetensors_file.h"
#include "r1/model/config_gguf.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"
#include "tiny_folder.h"

namespace r1::quant {
namespace {

// One folder with the model for all tests of this file.
class Quantize : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder("quantize");
    write_tiny_model(path() / "model");
    write_text(path() / "text.jsonl");
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static const fs::path& path() { return folder_->path(); }

 private:
  static inline TemporaryFolder* folder_ = nullptr;
};

double distance(const Tensor& a, const Tensor& b) {
  return std::sqrt(((a - b).square().sum() / b.square().sum()).item<double>());
}

std::map<std::string, std::string> files_below(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().filename() != "report.html")
      files[fs::relative(entry.path(), folder).string()] = read_file(entry.path());
  return files;
}

// The bounds are what such a small model of random weights loses at most, not what a scheme is worth; docs/quantize.md has that.
TEST_F(Quantize, EveryFolderSchemeLoadsAndIsNear) {
  const Tensor original = logits_of(path() / "model");
  struct Bounds {
    double off, packed;
  };
  for (const auto& [scheme, bounds] : std::map<std::string, Bounds>{{"rtn-4", {0.6, 0.08}},
                                                                    {"rtn-8", {0.05, 0.08}},
                                                                    {"int8-dynamic", {0.08, 0.012}},
                                                                    {"int8-static", {0.25, 1e-6}},
                                                                    {"gptq-4", {0.6, 0.08}},
                                                                    {"gptq-8", {0.05, 0.08}},
                                                                    {"awq-4", {0.6, 0.055}},
                                                                    {"fp8-block", {0.2, 1e-6}}}) {
    const QuantizeResult result = run_quantize(tiny_run(path(), scheme));
    const Tensor logits = logits_of(result.output);
    const double off = distance(logits, original);
    EXPECT_LT(off, bounds.off) << scheme;
    EXPECT_GT(off, 1e-4) << scheme;
    // Multiplied as they are: the same numbers of fp8, and of inputs on one scale; what is rounded to a scale of its own lies near a border now and
    // then; others round inputs too, which costs this model more than weights of 8 bits.
    EXPECT_LT(distance(logits_of(result.output, /*packed=*/true), logits), bounds.packed) << scheme;
    EXPECT_TRUE(fs::exists(result.report)) << scheme;
    EXPECT_FALSE(fs::exists((path() / scheme).string() + ".quantizing")) << scheme;
    EXPECT_EQ(result.errors.size(), 14u) << scheme;  // seven matrices in each of two blocks
    EXPECT_LT(std::abs(result.loss_after - result.loss_before), 0.5) << scheme;
    EXPECT_LT(result.bytes, result.original_bytes) << scheme;
  }
}

// What calibration is for.
TEST_F(Quantize, CalibrationPays) {
  const auto error = [&](const std::string& scheme, const auto& change) {
    QuantizeConfig config = tiny_run(path(), scheme);
    config.output_dir += "-pays";
    config.overwrite = true;
    change(config);
    return run_quantize(config).mean_error;
  };
  const auto nothing = [](QuantizeConfig&) {};
  const double rtn = error("gptq-4", [](QuantizeConfig& c) { c.scheme = "rtn-4"; });
  EXPECT_LT(error("gptq-4", nothing), rtn);
  EXPECT_LT(error("gptq-4", [](QuantizeConfig& c) { c.desc_act = true; }), rtn);
  EXPECT_LT(error("q4_0", [&](QuantizeConfig& c) { c.output_dir = "", c.output = (path() / "pays.gguf").string(); }), 0.02);
}

// One channel of what goes into each way down is 1,024 times as large, and what is made of it is the same: the kind of outlier that real models have.
// No end of one range fits it and the others; what is made larger in the weights instead does.
TEST_F(Quantize, OutliersOfAnInputGoOverToTheWeights) {
  const fs::path folder = path() / "outliers";
  {
    const at::NoGradGuard no_grad;
    const auto model = model::load_model(path() / "model", at::kCPU, at::kFloat);
    for (const model::WeightRow& row : model->weights()) {
      if (row.name.ends_with("mlp.up")) row.tensor->select(0, 5).mul_(1024);
      if (row.name.ends_with("mlp.down")) row.tensor->select(1, 5).div_(1024);
    }
    model::save_model(*model, folder, at::kBFloat16);
    tiny_tokenizer().save(folder);
  }
  const Tensor original = logits_of(path() / "model");
  EXPECT_LT(distance(logits_of(folder), original), 1e-6);
  QuantizeConfig config = tiny_run(path(), "int8-static");
  config.model = folder.string();
  config.overwrite = true;
  const auto off = [&](const char* name) {
    config.output_dir = (path() / name).string();
    const QuantizeResult made = run_quantize(config);
    const double worst =
        std::max_element(made.errors.begin(), made.errors.end(), [](auto& a, auto& b) { return a.error < b.error; })->error;
    return std::pair{distance(logits_of(made.output), original), worst};
  };
  const auto [by_default, error] = off("outliers-default");
  EXPECT_LT(by_default, 0.25) << "what a model without outliers loses";
  EXPECT_LT(error, 0.02);
  config.smoothing_strength = 0;
  for (const char* clip : {"percentile", "mse", "max"}) {
    config.activation_clip = clip;
    const auto [unsmoothed, lost] = off(clip);
    EXPECT_GT(unsmoothed, 3 * by_default) << clip;
    EXPECT_GT(lost, 0.02) << clip << ": what the rounding of inputs costs is in the errors";
  }
}

TEST_F(Quantize, EveryGgufSchemeLoadsAndIsNear) {
  const Tensor original = logits_of(path() / "model");
  for (const auto& [scheme, bound] : std::map<std::string, double>{{"f32", 1e-6},
                                                                   {"f16", 2e-3},
                                                                   {"bf16", 1e-6},
                                                                   {"q8_0", 0.045},
                                                                   {"q4_0", 0.6},
                                                                   {"q4_1", 0.45},
                                                                   {"q5_0", 0.32},
                                                                   {"q5_1", 0.25},
                                                                   {"q4_k_m", 0.5},
                                                                   {"q5_k_m", 0.25},
                                                                   {"q6_k", 0.1}}) {
    const QuantizeResult result = run_quantize(tiny_gguf_run(path(), scheme));
    EXPECT_LT(distance(logits_of(result.output), original), bound) << scheme;
    // The vocabulary came along.
    const text::Tokenizer tokenizer = text::Tokenizer::load(result.output), own = tiny_tokenizer();
    EXPECT_EQ(tokenizer.encode(some_text(9)), own.encode(some_text(9))) << scheme;
    EXPECT_EQ(tokenizer.eos_id(), own.eos_id()) << scheme;
  }
}

TEST_F(Quantize, EveryFamilyGoesToGgufAndBack) {
  for (const std::string family : {"qwen2", "qwen3", "gemma3_text", "gpt2", "qwen3_moe"}) {
    const fs::path model = path() / family;
    write_tiny_model(model, family);
    QuantizeConfig config = tiny_gguf_run(path(), "f32");
    config.model = model.string();
    config.output = (path() / (family + ".gguf")).string();
    config.data = {};
    const QuantizeResult exact = run_quantize(config);
    EXPECT_LT(distance(logits_of(exact.output), logits_of(model)), 1e-5) << family;
    config.scheme = "q8_0";
    config.output = (path() / (family + "-q8_0.gguf")).string();
    config.data = {(path() / "text.jsonl").string()};
    EXPECT_LT(distance(logits_of(run_quantize(config).output), logits_of(model)), 0.05) << family;
    // And a GGUF file is as good a source.
    config.model = exact.output.string();
    config.output = (path() / (family + "-again.gguf")).string();
    EXPECT_LT(distance(logits_of(run_quantize(config).output), logits_of(model)), 0.05) << family;
  }
}

TEST_F(Quantize, FamiliesAndLayoutsOfFolders) {
  for (const auto& [family, scheme] : std::vector<std::pair<std::string, std::string>>{
           {"qwen3_moe", "gptq-4"}, {"qwen3_moe", "int8-static"}, {"gpt2", "gptq-4"}, {"gemma3_text", "awq-4"}, {"gpt2", "awq-4"}}) {
    const fs::path model = path() / (family + "-f");
    write_tiny_model(model, family);
    QuantizeConfig config = tiny_run(path(), scheme);
    config.model = model.string();
    config.output_dir = (path() / (family + scheme)).string();
    config.checkpoint_format = family == "gpt2" ? "gptq_v2" : "gptq";
    EXPECT_LT(distance(logits_of(run_quantize(config).output), logits_of(model)), 0.7) << family << " " << scheme;
  }
}

// The losses that are reported are those of the models as they are stored.
TEST_F(Quantize, TheLossIsThatOfTheFile) {
  QuantizeConfig config = tiny_run(path(), "int8-dynamic");
  config.output_dir += "-loss";
  const QuantizeResult result = run_quantize(config);
  config.model = result.output.string();
  config.scheme = "f32";
  config.output = (path() / "loss.gguf").string();
  config.output_dir = "";
  // Weights alone: inputs of the f32 file are not rounded, which costs less than the weights do.
  const QuantizeResult again = run_quantize(config);
  EXPECT_NEAR(again.loss_before, result.loss_after, 2e-2);
  EXPECT_NEAR(again.loss_after, again.loss_before, 1e-6);
}

// Whichever of these calls to the system fails (every seventh), the next run goes on and comes to the bytes of one that was never stopped; and until
// then there is no model.
TEST_F(Quantize, GoesOnWhereItWasKilled) {
  QuantizeConfig config = tiny_run(path(), "gptq-4");
  config.output_dir = (path() / "whole").string();
  const auto whole = files_below(run_quantize(config).output);
  EXPECT_GT(whole.size(), 3u);
  config.output_dir = (path() / "killed").string();
  int resumed = 0, deaths = 0;
  for (int at = 3;; at += 7) {
    int calls = 0;
    set_file_fault([&](const char*) { return ++calls == at ? 28 : 0; });  // no space left
    const std::string message = message_of([&] { run_quantize(config); });
    set_file_fault({});
    if (message == "no error") break;
    ++deaths;
    EXPECT_FALSE(fs::exists(path() / "killed")) << at;
    resumed += run_quantize(config).resumed;
    EXPECT_EQ(files_below(path() / "killed"), whole) << "died at call " << at;
    fs::remove_all(path() / "killed");
  }
  EXPECT_GT(deaths, 3);
  EXPECT_GT(resumed, 1);
}

// A process of its own, which is this test once more, and is killed at a call to the system.
TEST_F(Quantize, AProcessThatIsKilledIsGoneOnWith) {
  constexpr const char* kFolder = "R1_TEST_KILLED_IN";
  QuantizeConfig config = tiny_run(path(), "awq-4");
  if (const char* folder = std::getenv(kFolder)) {
    int calls = 0;
    set_file_fault([&](const char*) {
      if (++calls == 25) std::raise(SIGKILL);
      return 0;
    });
    config = tiny_run(folder, "awq-4");
    config.output_dir = (fs::path(folder) / "child").string();
    run_quantize(config);
    FAIL() << "was not killed";
  }
  config.output_dir = (path() / "parent").string();
  const auto whole = files_below(run_quantize(config).output);
  config.output_dir = (path() / "child").string();
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  const int status = std::system(
      str(kFolder, "=", path().string(), " ", self, " --gtest_filter=Quantize.AProcessThatIsKilledIsGoneOnWith > /dev/null 2>&1").c_str());
  // A shell may be the process itself or tell of its death.
  ASSERT_TRUE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || (WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGKILL))
      << status;
  EXPECT_FALSE(fs::exists(path() / "child"));
  EXPECT_TRUE(run_quantize(config).resumed);
  EXPECT_EQ(files_below(path() / "child"), whole);
}

TEST_F(Quantize, SaysWhatIsWrongBeforeTheWork) {
  const auto complaint = [&](const auto& change) {
    QuantizeConfig config = tiny_run(path(), "gptq-4");
    config.output_dir = (path() / "never").string();
    change(config);
    return message_of([&] { run_quantize(config); });
  };
  EXPECT_NE(complaint([](auto& c) {
              c.group_size = 48;
            }).find("'model.layers.0.self_attn.q_proj.weight' has 64 columns, no multiple of --group_size 48"),
            std::string::npos);
  EXPECT_NE(complaint([](auto& c) { c.data = {}; }).find("--data"), std::string::npos);
  EXPECT_NE(complaint([](auto& c) { c.calibration_samples = 100000; }).find("give more text, or fewer"), std::string::npos);
  EXPECT_NE(complaint([](auto& c) { c.calibration_length = 300; }).find("context of 256"), std::string::npos);
  EXPECT_NE(complaint([](auto& c) { c.scheme = "q3_k_m"; }).find("q4_k_m"), std::string::npos);
  EXPECT_NE(complaint([](auto& c) { c.scheme = "q4_k_m"; }).find("--output model.gguf"), std::string::npos);
  EXPECT_NE(complaint([&](auto& c) { c.output_dir = c.model; }).find("model's own folder"), std::string::npos);
  EXPECT_NE(complaint([](auto& c) { c.smoothing_strength = 0.5; }).find("--scheme is gptq-4"), std::string::npos);
  EXPECT_NE(complaint([](auto& c) { c.scheme = "int8-static", c.smoothing_strength = -0.5; }).find("0 to 1, or -1"), std::string::npos);
  EXPECT_NE(complaint([](auto& c) { c.scheme = "int8-dynamic", c.smoothing_strength = 0.5, c.data = {}; }).find("give some with --data"),
            std::string::npos);
  EXPECT_NE(complaint([](auto& c) { c.scheme = "fp8-block", c.symmetric = "false"; }).find("--scheme is fp8-block"), std::string::npos);
  EXPECT_NE(complaint([](auto& c) { c.scheme = "rtn-4", c.desc_act = true; }).find("for gptq-4 and gptq-8"), std::string::npos);
  EXPECT_FALSE(fs::exists(path() / "never"));
  EXPECT_FALSE(fs::exists(path() / "never.quantizing"));
}

TEST_F(Quantize, WillNotMixTwoRuns) {
  QuantizeConfig config = tiny_run(path(), "gptq-4");
  config.output_dir = (path() / "mixed").string();
  int calls = 0;
  set_file_fault([&](const char*) { return ++calls == 30 ? 28 : 0; });
  EXPECT_NE(message_of([&] { run_quantize(config); }), "no error");
  set_file_fault({});
  config.group_size = 64;
  EXPECT_NE(message_of([&] { run_quantize(config); }).find("group_size: 32 then, 64 now"), std::string::npos);
  config.overwrite = true;
  EXPECT_FALSE(run_quantize(config).resumed);
}

// What stands at the output's place goes when the new model comes: so nothing else may lie in it, whatever is said.
TEST_F(Quantize, NobodysFilesGoWithTheOutput) {
  QuantizeConfig config = tiny_run(path(), "rtn-8");
  config.data = {};
  const auto complaint = [&](const fs::path& folder) {
    config.output_dir = folder.string();
    return message_of([&] { run_quantize(config); });
  };
  make_folder(path() / "mine");
  write_file_atomic(path() / "mine/thesis.txt", "years of work");
  for (const bool overwrite : {false, true}) {
    config.overwrite = overwrite;
    EXPECT_NE(complaint(path() / "mine").find("holds 'thesis.txt', which is no file of a quantized model"), std::string::npos) << overwrite;
    EXPECT_NE(complaint(path()).find("is no file of a quantized model"), std::string::npos) << "the source lies in it";
    EXPECT_NE(complaint(path() / "mine" / ".").find("thesis.txt"), std::string::npos);
  }
  EXPECT_EQ(read_file(path() / "mine/thesis.txt"), "years of work");
  EXPECT_TRUE(fs::exists(path() / "model/model.safetensors"));
  // A model that was there may be written over, and goes whole; a link leads to its folder.
  make_folder(path() / "target");
  fs::create_directory_symlink(path() / "target", path() / "link");
  config.overwrite = false;
  EXPECT_EQ(complaint(path() / "link"), "no error");
  EXPECT_TRUE(fs::is_symlink(path() / "link") && fs::exists(path() / "target/config.json"));
  write_file_atomic(path() / "target/model-00001-of-00002.safetensors", "of an earlier save");
  EXPECT_NE(complaint(path() / "target").find("already holds a model"), std::string::npos);
  config.overwrite = true;
  EXPECT_EQ(complaint(path() / "target"), "no error");
  EXPECT_FALSE(fs::exists(path() / "target/model-00001-of-00002.safetensors"));
}

// GPTQ's first format stores zero points less 1: 0 would be 15, of which every reader makes 16. Groups of zeros (of pruned models) and groups
// without a negative weight are where zero points of 0 come from.
TEST_F(Quantize, TheFirstFormatHoldsNoZeroPointOfZero) {
  const fs::path folder = path() / "positive";
  std::map<std::string, Tensor> originals;
  {
    const at::NoGradGuard no_grad;
    const auto model = model::load_model(path() / "model", at::kCPU, at::kFloat);
    for (const model::WeightRow& row : model->weights()) {
      if (row.kind != model::WeightKind::kMatrix) continue;
      row.tensor->narrow(0, 0, 8).abs_();
      row.tensor->narrow(1, 0, 32).narrow(0, 1, 2).zero_();
      originals[row.name] = row.tensor->clone();
    }
    model::save_model(*model, folder, at::kFloat);
    tiny_tokenizer().save(folder);
  }
  for (const std::string scheme : {"rtn-4", "rtn-8"}) {
    for (const std::string format : {"gptq", "gptq_v2"}) {
      QuantizeConfig config = tiny_run(path(), scheme);
      config.model = folder.string();
      config.data = {};
      config.symmetric = "false", config.weight_range = "minmax", config.checkpoint_format = format;
      config.output_dir = (path() / ("zero-" + scheme + format)).string();
      const fs::path output = run_quantize(config).output;
      const auto loaded = model::load_model(output, at::kCPU, at::kFloat);
      for (const model::WeightRow& row : loaded->weights()) {
        if (!originals.contains(row.name)) continue;
        const Tensor off = (*row.tensor - originals.at(row.name)).abs();
        const double step = 2 * originals.at(row.name).abs().max().item<double>() / (scheme == "rtn-4" ? 14 : 254);
        EXPECT_LT(off.max().item<double>(), 0.6 * step) << row.name << " " << scheme << " " << format;
        EXPECT_EQ(off.narrow(1, 0, 32).narrow(0, 1, 2).max().item<double>(), 0) << "zero stays zero";
      }
      // As they stand in the file: r1's own reader of 8 bits would not tell 0 from 256.
      const SafetensorsFile file = SafetensorsFile::open(output / "model.safetensors");
      const int bits = scheme == "rtn-4" ? 4 : 8;
      bool largest = false;
      for (const SafeTensor& tensor : file.tensors()) {
        if (!tensor.name.ends_with(".qzeros")) continue;
        for (const std::byte byte : file.data(tensor)) {
          const int b = int(byte);
          largest = largest || (bits == 8 ? b == 255 : (b & 15) == 15 || b >> 4 == 15);
        }
      }
      if (format == "gptq") {
        EXPECT_FALSE(largest) << scheme;
      }
    }
  }
}

// Tokens cannot choose the mean of all other experts, as one of them is always liked better.
TEST_F(Quantize, AnExpertWithoutTokensReckonsWithWhatTheOthersGet) {
  const fs::path folder = path() / "lonely";
  write_tiny_model(folder, "qwen3_moe");
  {
    const at::NoGradGuard no_grad;
    const auto model = model::load_model(folder, at::kCPU, at::kFloat);
    for (const model::WeightRow& row : model->weights())
      if (row.name.ends_with("mlp.router")) row.tensor->select(0, 3).copy_(row.tensor->narrow(0, 0, 3).mean(0));
    model::save_model(*model, folder, at::kFloat);
  }
  Json json = parse_json_file(folder / "config.json");
  json["num_experts_per_tok"] = 1;
  write_file_atomic(folder / "config.json", json.dump());
  QuantizeConfig config = tiny_run(path(), "int8-static");
  config.model = folder.string();
  config.activation_clip = "max";
  config.output_dir = (path() / "lonely-int8").string();
  const fs::path output = run_quantize(config).output;
  const SafetensorsFile file = SafetensorsFile::open(output / "model.safetensors");
  for (const char* matrix : {"gate_proj", "up_proj", "down_proj"}) {
    double widest = 0, lonely = 0;
    for (int e = 0; e < 4; ++e) {
      const SafeTensor* tensor = file.find(str("model.layers.0.mlp.experts.", e, ".", matrix, ".input_scale"));
      ASSERT_TRUE(tensor);
      const double scale = *reinterpret_cast<const float*>(file.data(*tensor).data());
      if (e < 3) widest = std::max(widest, scale);
      if (e == 3) lonely = scale;
    }
    EXPECT_EQ(lonely, widest) << matrix;
    EXPECT_NE(lonely, double(1.f / 127)) << matrix;
  }
}

// A model that overflows is one line with a name, and so is a weight that a type has no room for.
TEST_F(Quantize, WhatIsNotFiniteIsNamed) {
  const fs::path folder = path() / "large";
  const auto made = [&](const char* which, double factor) {
    const at::NoGradGuard no_grad;
    const auto model = model::load_model(path() / "model", at::kCPU, at::kFloat);
    for (const model::WeightRow& row : model->weights())
      if (row.name == str("layers.0.", which)) row.tensor->mul_(factor);
    model::save_model(*model, folder, at::kFloat);
    tiny_tokenizer().save(folder);
  };
  const auto complaint = [&](const std::string& scheme) {
    QuantizeConfig config = scheme[0] == 'i' ? tiny_run(path(), scheme) : tiny_gguf_run(path(), scheme);
    config.model = folder.string();
    (config.output.empty() ? config.output_dir : config.output) =
        (path() / ("overflows-" + scheme + (scheme[0] == 'i' ? "" : ".gguf"))).string();
    if (scheme[0] != 'i') config.data = {};
    return message_of([&] { run_quantize(config); });
  };
  made("mlp.up", 1e7);
  for (const std::string scheme : {"f16", "q4_0", "q4_k"})
    EXPECT_NE(complaint(scheme).find("'blk.0.ffn_up.weight': its largest weight"), std::string::npos)
        << scheme << ": " << complaint(scheme);
  made("mlp.down", 1e38);
  const std::string words = complaint("int8-dynamic");
  EXPECT_TRUE(words.find("not finite") != std::string::npos && words.find("null") == std::string::npos) << words;
}

// In place of the first bytes of a stored tensor.
void put(const fs::path& weights, const std::string& tensor, std::string_view bytes) {
  std::string all = read_file(weights);
  const SafetensorsFile file = SafetensorsFile::open(weights);
  const SafeTensor* found = file.find(tensor);
  ASSERT_TRUE(found) << tensor;
  ASSERT_LE(bytes.size(), found->bytes);
  write_file_atomic(weights, all.replace(found->begin, bytes.size(), bytes));
}

std::string bytes_of(float x) {
  return {reinterpret_cast<const char*>(&x), sizeof(x)};
}

// Numbers that no product can be made with are named, with the file.
TEST_F(Quantize, BrokenNumbersOfOthersFoldersAreNamed) {
  QuantizeConfig config = tiny_run(path(), "int8-static");
  config.output_dir = (path() / "broken").string();
  const fs::path folder = run_quantize(config).output, weights = folder / "model.safetensors";
  const std::string good = read_file(weights), good_config = read_file(folder / "config.json");
  const auto complaint = [&](const std::string& tensor, const std::string& bytes) {
    put(weights, tensor, bytes);
    const std::string message = message_of([&] { logits_of(folder, /*packed=*/true); });
    write_file_atomic(weights, good);
    return message;
  };
  for (const float scale : {0.f, -1.f, NAN}) {
    const std::string words = complaint("model.layers.1.mlp.up_proj.input_scale", bytes_of(scale));
    EXPECT_NE(words.find("'model.layers.1.mlp.up_proj.input_scale' is"), std::string::npos) << words;
    EXPECT_NE(words.find("model.safetensors"), std::string::npos) << words;
  }
  const std::string words = complaint("model.layers.0.self_attn.q_proj.weight_scale", bytes_of(INFINITY));
  EXPECT_NE(words.find("'model.layers.0.self_attn.q_proj.weight_scale' holds NaN or infinity"), std::string::npos) << words;
  Json json = parse_json(good_config, "config");
  Json& inputs = json["quantization_config"]["config_groups"].begin().value()["input_activations"];
  inputs["strategy"] = "group";
  write_file_atomic(folder / "config.json", json.dump());
  EXPECT_NE(message_of([&] { logits_of(folder); }).find("input_activations by 'group' are not read"), std::string::npos);
}

// GPTQModel 5 writes "gptq" beside zero points that stand as gptq_v2 has them. Of a symmetric file that cannot be meant.
TEST_F(Quantize, SymmetricZeroPointsOfTheOtherFormatAreSeen) {
  for (const std::string scheme : {"rtn-4", "rtn-8"}) {
    QuantizeConfig config = tiny_run(path(), scheme);
    config.data = {};
    config.checkpoint_format = "gptq_v2";
    config.output_dir = (path() / ("v2-" + scheme)).string();
    const fs::path folder = run_quantize(config).output;
    const Tensor expected = logits_of(folder);
    Json json = parse_json_file(folder / "config.json");
    json["quantization_config"]["checkpoint_format"] = "gptq";
    write_file_atomic(folder / "config.json", json.dump());
    EXPECT_TRUE(aten::equal(logits_of(folder), expected)) << scheme;
  }
}

int64_t resident_bytes() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

// In this process, as it grows by what is loaded; of GGUF it is PackedModel.TakesTheMemoryOfItsFile.
TEST_F(Quantize, ALoadedFolderTakesTheMemoryOfItsFile) {
  const fs::path folder = path() / "weighty", sparse = path() / "weighty-sparse";
  {
    const at::NoGradGuard no_grad;
    model::ModelConfig c = tiny_config("llama");
    c.hidden_size = 384, c.intermediate_size = 1024, c.num_hidden_layers = 6, c.head_dim = 96;
    model::Transformer model(c, at::kCPU, at::kFloat);
    model.init_weights(3);
    model::save_model(model, folder, at::kBFloat16);
    tiny_tokenizer().save(folder);
    for (const model::WeightRow& row : model.weights())
      if (row.kind == model::WeightKind::kMatrix) row.tensor->view({-1, 2, 2}).select(2, 1).zero_();
    model::save_model(model, sparse, at::kBFloat16);
  }
  const auto share = [&](const fs::path& model) {
    const auto bytes = double(fs::file_size(model / "model.safetensors"));
    EXPECT_GT(bytes, 5e6) << model;
    ::malloc_trim(0);
    const int64_t before = resident_bytes();
    const auto kept = model::load_model(model, at::kCPU, at::kFloat, {}, {.keep_packed = true});
    return double(resident_bytes() - before) / bytes;
  };
  for (const std::string scheme : {"rtn-4", "int8-dynamic", "fp8-block"}) {
    QuantizeConfig config = tiny_run(path(), scheme);
    config.model = folder.string();
    config.data = {};
    config.weight_range = "minmax", config.group_size = 128;
    config.output_dir = (path() / ("weighty-" + scheme)).string();
    const double grown = share(run_quantize(config).output);
    EXPECT_GT(grown, 0.8) << scheme;
    EXPECT_LT(grown, 1.15) << scheme;
  }
  // Without its zeros, which the file has.
  const double grown = share(sparse);
  EXPECT_GT(grown, 0.5);
  EXPECT_LT(grown, 0.75);
}

// Published layouts that differ from ours: other names of keys, what their writers add.
TEST_F(Quantize, ReadsOthersConfigs) {
  QuantizeConfig config = tiny_run(path(), "gptq-4");
  config.output_dir = (path() / "others").string();
  config.desc_act = true;
  const fs::path folder = run_quantize(config).output;
  const Tensor expected = logits_of(folder);
  Json json = parse_json_file(folder / "config.json");
  const auto with = [&](const auto& change) {
    Json changed = json;
    change(changed["quantization_config"]);
    write_file_atomic(folder / "config.json", changed.dump());
    return message_of([&] { EXPECT_TRUE(aten::equal(logits_of(folder), expected)); });
  };
  EXPECT_EQ(with([](Json& q) { q["meta"] = {{"quantizer", {"gptqmodel:5.0"}}}, q["static_groups"] = false; }), "no error");
  EXPECT_EQ(with([](Json& q) { q.erase("quant_method"); }), "no error");
  EXPECT_EQ(with([](Json& q) { q.erase("checkpoint_format"); }), "no error");
  EXPECT_EQ(with([](Json& q) { q["something_new"] = 1; }), "no error");
  EXPECT_NE(with([](Json& q) { q["checkpoint_format"] = "marlin"; }).find("'marlin'"), std::string::npos);
  EXPECT_NE(with([](Json& q) { q["bits"] = 3; }).find("bits = 3"), std::string::npos);
  EXPECT_NE(with([](Json& q) { q["dynamic"] = {{"+:.*down.*", {{"bits", 8}}}}; }).find("other bits"), std::string::npos);
  EXPECT_NE(with([](Json& q) { q["group_size"] = 64; }).find("of another shape"), std::string::npos);
  EXPECT_NE(with([](Json& q) { q["quant_method"] = "hqq"; }).find("'hqq' is not supported"), std::string::npos);
  // Old folders have it in a file of its own.
  Json bare = json;
  bare.erase("quantization_config");
  write_file_atomic(folder / "config.json", bare.dump());
  write_file_atomic(folder / "quantize_config.json", json["quantization_config"].dump());
  EXPECT_TRUE(aten::equal(logits_of(folder), expected));
  // A file that is cut short is one error that names it.
  write_file_atomic(folder / "model.safetensors", read_file(folder / "model.safetensors").substr(0, 20000));
  EXPECT_NE(message_of([&] { logits_of(folder); }).find("model.safetensors"), std::string::npos);
}

}  // namespace
}  // namespace r1::quant
