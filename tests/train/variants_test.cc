// Norms and MLPs that are learned by rule besides by gradient, in the trainer: they learn, their state moves, a resumed run has the bits of
// an unbroken one.
#include <gtest/gtest.h>

#include "r1/model/families.h"
#include "r1/tensor/aten.h"
#include "r1/train/checkpoint.h"
#include "tests/train/train_testing.h"

namespace r1::train {
namespace {

struct Variant {
  const char* name;
  void (*set)(model::ModelConfig&);
};
const Variant kVariants[] = {
    {"norm_power", [](model::ModelConfig& c) { c.norm = "power"; }},
    {"topk_sparse", [](model::ModelConfig& c) { c.ffn = "topk_sparse", c.sparse.speed = 0.05, c.ffn_dropout = 0.1; }},
    {"norm_gelu", [](model::ModelConfig& c) { c.ffn = "norm_gelu", c.ffn_dropout = 0.1; }},
    {"gpt2", [](model::ModelConfig& c) { model::set_family(c, "gpt2"), c.num_key_value_heads = 4, c.ffn_dropout = 0.1; }},
    {"gemma3", [](model::ModelConfig& c) { model::set_family(c, "gemma3_text"), c.attn.window = 6, c.attn.window_pattern = 2; }},
};

std::unique_ptr<model::Transformer> model_of(const Variant& variant, uint64_t seed) {
  model::ModelConfig c = tiny_config();
  variant.set(c);
  auto m = std::make_unique<model::Transformer>(c, at::kCPU, at::kFloat);
  m->init_weights(seed);
  return m;
}

class TrainedVariant : public testing::TestWithParam<Variant> {};

TEST_P(TrainedVariant, LearnsAndResumesBitwise) {
  constexpr int kSteps = 60, kCut = 25;
  TrainerConfig config = tiny_training();
  const auto whole_model = model_of(GetParam(), 1);
  Trainer whole_trainer(*whole_model, config, kSteps, 5);
  const std::vector<double> whole = losses_of(train_steps(whole_trainer, kSteps));
  EXPECT_LT(whole.back(), 0.8 * whole.front());

  TemporaryFolder folder(std::string("variant_") + GetParam().name);
  {
    const auto first = model_of(GetParam(), 1);
    Trainer trainer(*first, config, kSteps, 5);
    train_steps(trainer, kCut);
    save_checkpoint(folder.path(), trainer, {}, {});
  }
  const auto second = model_of(GetParam(), 2);  // everything must come from the checkpoint
  config.gradient_checkpointing = true;         // the same bits, the same record
  Trainer trainer(*second, config, kSteps, 6);
  load_checkpoint(*latest_checkpoint(folder.path()), trainer);
  EXPECT_EQ(losses_of(train_steps(trainer, kSteps)), std::vector<double>(whole.begin() + kCut, whole.end()));
  for (size_t i = 0; i < whole_model->weights().size(); ++i) {
    const model::WeightRow& row = whole_model->weights()[i];
    EXPECT_TRUE(aten::equal(*row.tensor, *second->weights()[i].tensor)) << row.name;
    if (row.kind == model::WeightKind::kBuffer) {
      EXPECT_GT(row.tensor->abs().max().item<double>(), 0.0) << row.name << " has not moved";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Options, TrainedVariant, testing::ValuesIn(kVariants),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace r1::train
