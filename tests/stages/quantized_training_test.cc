// Quantization-aware training from the command's settings to the quantized folder at its end.
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <cstdlib>

#include "r1/base/safetensors_file.h"
#include "r1/model/quantization.h"
#include "r1/model/weights_io.h"
#include "r1/quant/training.h"
#include "r1/stages/run.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"
#include "tests/stages/stage_testing.h"
#include "tests/train/train_testing.h"

namespace r1::stages {
namespace {

constexpr int64_t kGroup = 16;

std::string sft_settings(const std::string& weights, const std::string& more = "") {
  return "{" + model_setting() + ", num_examples: 200, max_length: 64, per_device_train_batch_size: 4, max_steps: 6, learning_rate: 1e-3" +
         ", quantize_training: " + weights + str(", quantize_group_size: ", kGroup) + more + "}";
}

std::vector<int64_t> probe_ids(int64_t vocab) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < 40; ++i) ids.push_back(1 + i * 37 % (vocab - 1));
  return ids;
}

Tensor logits_of(const model::Transformer& model) {
  const at::NoGradGuard no_grad;
  auto& m = const_cast<model::Transformer&>(model);
  return m.logits(m.hidden(aten::tensor(probe_ids(m.config().vocab_size)), {ops::sequences_of(at::kCPU, {40})}));
}

// What the trainer computed with at the end: the saved masters, rounded. What stays in 16 bits in the folder is rounded to those.
Tensor trained_logits(const fs::path& folder, const std::string& weights, at::ScalarType wide) {
  const at::NoGradGuard no_grad;
  const auto model = model::load_model(folder, at::kCPU, at::kFloat);
  const quant::Plan plan = quant::prepare_training(*model, weights, kGroup);
  for (const model::WeightRow& row : model->weights()) {
    if (quant::is_quantized(row))
      quant::round_in_place(plan, *row.tensor);
    else
      row.tensor->copy_(row.tensor->to(wide));
  }
  return logits_of(*model);
}

// A run for each, made once: <folder>/int4, /int8, /fp8.
const fs::path& trained() {
  static const TemporaryFolder folder("stages_qat");
  static const bool made = [] {
    for (const std::string weights : {"int4", "int8", "fp8"}) run_stage("sft", folder.path() / weights, sft_settings(weights));
    return true;
  }();
  EXPECT_TRUE(made);
  return folder.path();
}

TEST(QuantizedTraining, TheFolderAtTheEndIsWhatWasTrained) {
  for (const std::string weights : {"int4", "int8", "fp8"}) {
    const fs::path out = trained() / weights;
    EXPECT_EQ(parse_json_file(out / "stage.json").at("quantized").at("scheme"), weights == "int4"   ? "rtn-4"
                                                                                : weights == "int8" ? "int8-dynamic"
                                                                                                    : "fp8-block");
    const Tensor made = logits_of(*model::load_model(out / "quantized", at::kCPU, at::kFloat));
    EXPECT_TRUE(made.equal(trained_logits(out, weights, weights == "fp8" ? at::kBFloat16 : at::kHalf))) << weights;
    EXPECT_FALSE(made.equal(logits_of(*model::load_model(out, at::kCPU, at::kFloat)))) << weights;
    EXPECT_FALSE(model::quantization_of(out)) << weights;  // an ordinary model: to be trained on
    EXPECT_TRUE(load_tokenizer((out / "quantized").string()));
  }
}

TEST(QuantizedTraining, TransformersComputesWhatWasTrained) {
  if (!std::getenv("R1_ORACLE_PYTHON")) GTEST_SKIP() << "R1_ORACLE_PYTHON is not set";
  const TemporaryFolder folder("stages_qat_peer");
  write_file_atomic(folder.path() / "ids.json", Json(probe_ids(model::read_model_config(trained() / "int4").vocab_size)).dump());
  std::string command = str(std::getenv("R1_ORACLE_PYTHON"), " ", R1_SOURCE_DIR, "/tests/oracles/quantized_logits.py ",
                            (folder.path() / "ids.json").string(), " ", (folder.path() / "out.safetensors").string());
  for (const std::string weights : {"int4", "int8", "fp8"}) command += " " + (trained() / weights / "quantized").string();
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  const SafetensorsFile theirs = SafetensorsFile::open(folder.path() / "out.safetensors");
  int at = 0;
  for (const std::string weights : {"int4", "int8", "fp8"}) {
    const Tensor others = tensor::read_safetensor(theirs, *theirs.find(str("logits.", at++)));
    const Tensor ours = trained_logits(trained() / weights, weights, weights == "fp8" ? at::kBFloat16 : at::kHalf);
    const double off = std::sqrt(((ours - others).square().sum() / others.square().sum()).item<double>());
    EXPECT_LT(off, weights == "int8" ? 1e-2 : 1e-5) << weights;  // rounded inputs may fall on the other side of a step
  }
}

// A held-out loss of the run is the quantized model's, not the masters'.
TEST(QuantizedTraining, EvaluationSeesTheRoundedWeights) {
  const TemporaryFolder folder("stages_qat_eval");
  const auto in = [&](const char* name) { return (folder.path() / name).string(); };
  const fs::path model = chat_model(folder);
  write_file_atomic(in("chat.jsonl"), R"({"messages":[{"role":"user","content":"one"},{"role":"assistant","content":"two three"}]})"
                                      "\n");
  const std::string common = "{device: cpu, model: " + model.string() + ", train_files: [" + in("chat.jsonl") + "], eval_files: [" +
                             in("chat.jsonl") + "], max_length: 64, max_steps: 25, learning_rate: 1e-2}";
  const auto loss = [&](const std::string& from, const std::string& to) {  // without a step that changes anything
    return run_stage("sft", in(to.c_str()), "{model: " + from + ", max_steps: 1, learning_rate: 0}", common)["eval_loss"].get<double>();
  };
  for (const std::string weights : {"int4", "int8"}) {
    const std::string run = "run-" + weights;
    const double trained =
        run_stage("sft", in(run.c_str()), "{quantize_training: " + weights + ", quantize_group_size: -1}", common)["eval_loss"]
            .get<double>();
    const double quantized = loss(in((run + "/quantized").c_str()), run + "-q");
    EXPECT_NEAR(quantized, trained, 0.02 * trained + 1e-4) << weights;
    if (weights == "int8") continue;  // the masters are too near
    EXPECT_LT(std::abs(quantized - trained), 0.2 * std::abs(loss(in(run.c_str()), run + "-m") - trained)) << trained;
  }
}

double held_out(model::Transformer& model) {
  double loss = 0, weight = 0;
  for (int64_t step = 1000; step < 1010; ++step) {
    for (const data::Batch& batch : train::step_batches(step)) {
      const auto logprobs = train::batch_logprobs(model, batch);
      for (size_t t = 0; t < logprobs.size(); ++t) {
        loss -= double(batch.loss_weight[t]) * double(logprobs[t]);
        weight += double(batch.loss_weight[t]);
      }
    }
  }
  return loss / weight;
}

// Some channels that the norms make small and the matrices large, as trained models have them: the same function, and ranges that leave the
// other weights few steps.
void make_outliers(model::Transformer& model) {
  const at::NoGradGuard no_grad;
  for (const model::WeightRow& row : model.weights()) {
    const bool norm = row.name.ends_with("attention_norm") || row.name.ends_with("mlp_norm"),
               reads = row.name.ends_with("attention.q") || row.name.ends_with("attention.k") || row.name.ends_with("attention.v") ||
                       row.name.ends_with("mlp.gate") || row.name.ends_with("mlp.up");
    for (const int64_t channel : {3, 11, 20}) {
      if (norm) row.tensor->detach().narrow(0, channel, 1).div_(16);
      if (reads) row.tensor->detach().narrow(1, channel, 1).mul_(16);
    }
  }
}

// The same steps from the same weights, on documents that count up, which can be learned to the end: rounded afterwards as rtn-4 does it, with
// its search, and rounded while training.
TEST(QuantizedTraining, LosesLessThanRoundingAfterwards) {
  constexpr int64_t kBefore = 90, kSteps = 60;
  train::TrainerConfig config = train::tiny_training();
  config.weight_decay = 0;
  const auto plain = train::tiny_model(), aware = train::tiny_model();
  {
    train::Trainer trainer(*plain, config, kBefore, 1);
    train::train_steps(trainer, kBefore);
  }
  const double first = held_out(*plain);
  make_outliers(*plain);
  EXPECT_NEAR(held_out(*plain), first, 1e-3);
  for (size_t i = 0; i < plain->weights().size(); ++i) aware->weights()[i].tensor->detach().copy_(plain->weights()[i].tensor->detach());

  config.learning_rate = 2e-3;
  train::Trainer plain_trainer(*plain, config, kSteps, 1);
  train::train_steps(plain_trainer, kSteps);
  const double before = held_out(*plain);
  quant::QuantizeConfig rtn = quant::config_of_training("int4", -1);
  rtn.weight_range = "search";
  const quant::Plan afterwards_plan = quant::plan_of(rtn, plain->config());
  for (const model::WeightRow& row : plain->weights()) {
    if (!quant::is_quantized(row)) continue;
    const Tensor weight = row.tensor->detach();
    weight.copy_(quant::quantize_matrix(afterwards_plan, row.hf_name, weight, nullptr).values_OI);
  }
  const double afterwards = held_out(*plain);

  const quant::Plan plan = quant::prepare_training(*aware, "int4", -1);
  config.quantize_training = "int4";
  train::Trainer trainer(*aware, config, kSteps, 1, nullptr, {.applies = quant::is_quantized, .round = [&](const model::WeightRow& row) {
                                                                quant::round_in_place(plan, *row.tensor);
                                                              }});
  train::train_steps(trainer, kSteps);
  const double trained = held_out(*aware);
  SCOPED_TRACE(str("plain ", before, ", rounded afterwards ", afterwards, ", trained for it ", trained));
  EXPECT_GT(afterwards - before, 0.05);
  EXPECT_LT(trained - before, (afterwards - before) / 2);
}

TEST(QuantizedTraining, RefusesWhatDoesNotFit) {
  const TemporaryFolder folder("stages_qat_refused");
  const fs::path out = folder.path() / "out";
  EXPECT_EQ(refusal([&] { run_stage("sft", out, sft_settings("int4", "") + " "); }), "");
  EXPECT_PRED2(contains, refusal([&] {
                 run_stage("sft", folder.path() / "a", {sft_settings("int4"), "{quantize_group_size: 48}"});
               }),
               "has 64 columns, no multiple of --quantize_group_size 48: give 64, 32, 16 or -1 (a whole row)");
  EXPECT_PRED2(contains, refusal([&] {
                 run_stage("sft", folder.path() / "b", {sft_settings("int4"), "{quantize_training: int3}"});
               }),
               "quantize_training");
  // What a run computes with cannot change on its way, nor afterwards.
  EXPECT_PRED2(contains, refusal([&] {
                 run_stage("sft", out, {sft_settings("int4"), "{quantize_training: none, max_steps: 9}"});
               }),
               "quantize_training");
}

}  // namespace
}  // namespace r1::stages
