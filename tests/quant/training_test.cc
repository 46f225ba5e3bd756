// Weights that are rounded while they are trained: the same as `r1 quantize` makes of them.
#include "r1/quant/training.h"

#include <gtest/gtest.h>

#include "bell.h"
#include "r1/base/error.h"
#include "tests/temporary_folder.h"
#include "tiny_folder.h"

namespace r1::quant {
namespace {

// Bell-shaped, with a group of zeros, one of tiny numbers, one with a large outlier and one of a single sign.
Tensor odd_weights(int64_t rows, int64_t columns) {
  Tensor w = bell({rows, columns}, 5) * 0.2;
  w.select(0, 0).narrow(0, 0, 16).zero_();
  w.select(0, 1).narrow(0, 0, 16).mul_(1e-9);
  w.select(0, 2).narrow(0, 3, 1).fill_(-7);
  w.select(0, 3).abs_();
  return w;
}

Plan training(const std::string& weights, int64_t group) {
  return plan_of(config_of_training(weights, group), tiny_config("llama"));
}

TEST(TrainingWeights, AreWhatQuantizeMakes) {
  for (const auto& [weights, group] :
       std::vector<std::pair<std::string, int64_t>>{{"int4", 16}, {"int4", 48}, {"int4", -1}, {"int8", 128}, {"fp8", 128}}) {
    for (const bool symmetric : {true, false}) {
      for (const int64_t columns : {144, 192}) {
        Plan plan = training(weights, group);
        plan.symmetric = symmetric;
        const Tensor w = odd_weights(200, columns), rounded = w.clone();
        round_in_place(plan, rounded);
        const Tensor made = quantize_matrix(plan, "w.weight", w, nullptr).values_OI;
        EXPECT_TRUE(rounded.equal(made)) << weights << " " << group << " " << symmetric << ": "
                                         << (rounded - made).abs().max().item<double>();
        EXPECT_FALSE(rounded.equal(w));
      }
    }
  }
}

TEST(TrainingWeights, InHalfPrecisionAreThoseOfALoadedFolder) {  // computed in fp32 of the stored weights, rounded once
  for (const std::string weights : {"int4", "int8", "fp8"}) {
    const Plan plan = training(weights, 16);
    const Tensor w = odd_weights(136, 144).to(at::kBFloat16), rounded = w.clone();
    round_in_place(plan, rounded);
    EXPECT_TRUE(rounded.equal(quantize_matrix(plan, "w.weight", w.to(at::kFloat), nullptr).values_OI.to(at::kBFloat16))) << weights;
  }
}

TEST(TrainingWeights, OfExpertsAreRoundedOneByOne) {
  for (const std::string weights : {"int4", "fp8"}) {
    const Plan plan = training(weights, 16);
    const Tensor all = aten::stack({odd_weights(136, 144), odd_weights(136, 144) * 3}), rounded = all.clone();
    round_in_place(plan, rounded);
    for (int64_t e = 0; e < 2; ++e)
      EXPECT_TRUE(rounded.select(0, e).equal(quantize_matrix(plan, "w.weight", all.select(0, e).contiguous(), nullptr).values_OI));
  }
}

// A weight that is NaN must not pass for a number: the trainer names it.
TEST(TrainingWeights, KeepNaN) {
  for (const std::string weights : {"int4", "int8", "fp8"}) {
    const Tensor w = odd_weights(136, 144);
    w.select(0, 50).fill_(std::nan(""));
    round_in_place(training(weights, 16), w);
    EXPECT_TRUE(w.select(0, 50).isnan().all().item<bool>()) << weights;
    EXPECT_TRUE(w.narrow(0, 0, 50).isfinite().all().item<bool>() || weights == "fp8") << weights;  // of its block of 128 x 128
  }
}

TEST(TrainingWeights, ThatDoNotFitAreNamed) {
  model::Transformer model(tiny_config("llama"), at::kCPU, at::kFloat);
  const auto word = [&](const std::string& weights, int64_t group) {
    try {
      prepare_training(model, weights, group);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kUsage);
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_EQ(
      word("int4", 48),
      "'model.layers.0.self_attn.q_proj.weight' has 64 columns, no multiple of --quantize_group_size 48: give 64, 32, 16 or -1 (a whole "
      "row)");
  EXPECT_EQ(word("int4", 0), "--quantize_group_size 0: give a number of columns, or -1 for a whole row");
  EXPECT_EQ(word("int4", 32), "");
  EXPECT_EQ(word("int8", 48), "");  // has no groups
}

// The grid that is trained for is one that `r1 quantize` can be told of; its own search comes to another.
TEST(WeightRange, MinmaxIsTheGridOfTraining) {
  const TemporaryFolder folder("quant_range");
  write_tiny_model(folder.path() / "model");
  const auto run = [&](const std::string& scheme, const std::string& range) {
    QuantizeConfig config = tiny_run(folder.path(), scheme);
    config.data = {};
    config.weight_range = range;
    config.output_dir = (folder.path() / (scheme + range)).string();
    return logits_of(run_quantize(config).output);
  };
  for (const auto& [weights, scheme] :
       std::vector<std::pair<std::string, std::string>>{{"int4", "rtn-4"}, {"int8", "int8-dynamic"}, {"fp8", "fp8-block"}}) {
    const at::NoGradGuard no_grad;
    const auto trained = model::load_model(folder.path() / "model", at::kCPU, at::kFloat);
    const Plan plan = prepare_training(*trained, weights, 32);
    for (const model::WeightRow& row : trained->weights())
      if (is_quantized(row)) round_in_place(plan, *row.tensor);
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < 40; ++i) ids.push_back(1 + i * 37 % 300);
    const Tensor ours = trained->logits(trained->hidden(aten::tensor(ids), {ops::sequences_of(at::kCPU, {40})}));
    EXPECT_TRUE(ours.equal(run(scheme, "minmax"))) << weights;  // bf16 weights: what stays wide stays as it is
    if (weights != "int4") continue;                            // fp8 has no search, and in 8 bits it finds nothing better
    EXPECT_FALSE(ours.equal(run(scheme, "search"))) << weights;
  }
}

}  // namespace
}  // namespace r1::quant
