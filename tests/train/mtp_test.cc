// Multi-token prediction in training: shifted by hand, against each document alone; the loss falls; files keep it.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "r1/base/safetensors_file.h"
#include "r1/model/weights_io.h"
#include "r1/ops/logprob.h"
#include "r1/tensor/aten.h"
#include "r1/train/forward.h"
#include "tests/train/train_testing.h"

namespace r1::train {
namespace {

std::unique_ptr<model::Transformer> mtp_model(int depth, uint64_t seed = 1) {
  model::ModelConfig config = tiny_config();
  config.num_nextn_predict_layers = depth;
  auto m = std::make_unique<model::Transformer>(config, at::kCPU, at::kFloat);
  m->init_weights(seed);
  return m;
}

Tensor longs(std::vector<int64_t> v) {
  return aten::tensor(v, at::kLong);
}

nn::LayerContext alone(int64_t length) {
  return {ops::sequences_of(at::kCPU, {int32_t(length)})};
}

TEST(Mtp, PackedDocumentsAreShiftedEachByItself) {
  const at::NoGradGuard no_grad;
  const auto m = mtp_model(2);
  Rng rng(1);
  const data::Batch batch = documents(rng, {7, 3, 12});
  const ForwardResult packed = forward(*m, batch, {.only_weighted = true, .mtp = true});
  ASSERT_EQ(packed.further.size(), 2u);
  for (size_t s = 0; s + 1 < batch.cu_seqlens.size(); ++s) {
    const int64_t begin = batch.cu_seqlens[s], length = batch.cu_seqlens[s + 1] - begin;
    std::vector<int64_t> ids(batch.ids.begin() + begin, batch.ids.begin() + begin + length);
    Tensor h = m->hidden(longs(ids), alone(length));
    for (int depth = 0; depth < 2; ++depth) {
      const int64_t rows = length - depth - 1;  // those with a token after them
      for (int64_t t = rows > 0 ? rows : 0; t < length; ++t)
        EXPECT_EQ(packed.further[size_t(depth)].loss_weight_T[begin + t].item<float>(), 0) << depth << " " << t;
      if (rows <= 0) continue;
      std::vector<int64_t> next(ids.begin() + depth + 1, ids.end());
      h = m->mtp_hidden(depth, h.narrow(0, 0, rows), longs(next), alone(rows));
      for (int64_t t = 0; t + 1 < rows; ++t) {  // and one more to predict
        const Tensor logits = m->logits(m->mtp_normed(depth, h.narrow(0, t, 1)));
        const double expected = logits.log_softmax(1)[0][ids[size_t(t + depth + 2)]].item<double>();
        EXPECT_NEAR(packed.further[size_t(depth)].logprob_T[begin + t].item<double>(), expected, 1e-5) << depth << " " << t;
        EXPECT_EQ(packed.further[size_t(depth)].loss_weight_T[begin + t].item<float>(), 1);
      }
    }
  }
}

TEST(Mtp, IsTrainedAndTheMainLossIsReportedAlone) {
  const auto m = mtp_model(1), plain = mtp_model(1);
  LossSpec without = cross_entropy_loss();
  without.mtp = false;
  Trainer trainer(*m, tiny_training(), 150, 1), other(*plain, tiny_training(), 150, 1);
  const auto results = train_steps(trainer, 150);
  const auto first = train_steps(other, 1, without);
  EXPECT_DOUBLE_EQ(results[0].loss, first[0].loss);
  EXPECT_NE(results[0].grad_norm, first[0].grad_norm);
  EXPECT_EQ(first[0].metrics.sums.count("mtp_loss"), 0u);
  EXPECT_LT(results.back().metrics.sums.at("mtp_loss"), 0.5 * results.front().metrics.sums.at("mtp_loss"));
}

TEST(Mtp, CheckpointedActivationsGiveTheSameRun) {
  const auto a = mtp_model(1), b = mtp_model(1);
  TrainerConfig saving = tiny_training();
  saving.gradient_checkpointing = true;
  Trainer one(*a, tiny_training(), 5, 1), two(*b, saving, 5, 1);
  EXPECT_EQ(losses_of(train_steps(one, 5)), losses_of(train_steps(two, 5)));
  for (size_t i = 0; i < a->weights().size(); ++i)
    EXPECT_TRUE(aten::equal(*a->weights()[i].tensor, *b->weights()[i].tensor)) << a->weights()[i].name;
}

TEST(Mtp, FilesHaveThePublishedNames) {
  const TemporaryFolder folder("mtp");
  const auto m = mtp_model(1);
  model::save_model(*m, folder.path(), at::kFloat);
  const auto files = open_safetensors_model(folder.path());
  ASSERT_EQ(files.size(), 1u);
  for (const char* name : {"enorm", "hnorm", "eh_proj", "shared_head.norm", "shared_head.head", "embed_tokens", "self_attn.q_proj",
                           "mlp.down_proj", "input_layernorm"})
    EXPECT_NE(files[0].find("model.layers.3." + std::string(name) + ".weight"), nullptr) << name;
  const auto again = model::load_model(folder.path(), at::kCPU, at::kFloat);
  ASSERT_EQ(again->mtp_depth(), 1);
  for (size_t i = 0; i < m->weights().size(); ++i) EXPECT_TRUE(aten::equal(*m->weights()[i].tensor, *again->weights()[i].tensor));
}

// transformers keeps the key in config.json and drops the weights.
TEST(Mtp, AFileWithoutItsWeightsLoadsWithoutIt) {
  const TemporaryFolder folder("mtp_dropped");
  const auto m = mtp_model(0);
  model::save_model(*m, folder.path(), at::kFloat);
  const auto with = mtp_model(1);
  write_file_atomic(folder.path() / "config.json", dump_json(model::config_to_hf(with->config())));
  const auto loaded = model::load_model(folder.path(), at::kCPU, at::kFloat);
  EXPECT_EQ(loaded->mtp_depth(), 0);
}

}  // namespace
}  // namespace r1::train
