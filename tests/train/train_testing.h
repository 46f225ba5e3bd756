// A tiny model and batches for the trainer's tests.
#pragma once

#include <ATen/Parallel.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "r1/base/rng.h"
#include "r1/data/batch.h"
#include "r1/model/transformer.h"
#include "r1/train/trainer.h"
#include "tests/temporary_folder.h"

namespace r1::train {

// One thread: the tensors are so small that a second one only waits. Tests of threads set their own number.
inline const auto* const kOneThread = ::testing::AddGlobalTestEnvironment([] {
  struct OneThread : ::testing::Environment {
    void SetUp() override { at::set_num_threads(1); }
  };
  return new OneThread;
}());

inline model::ModelConfig tiny_config(bool tied = true) {
  model::ModelConfig config;
  config.family = "llama";
  config.vocab_size = 96;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.max_position_embeddings = 128;
  config.tie_word_embeddings = tied;
  return config;
}

inline std::unique_ptr<model::Transformer> tiny_model(uint64_t seed = 1, at::ScalarType dtype = at::kFloat, bool tied = true) {
  auto m = std::make_unique<model::Transformer>(tiny_config(tied), at::kCPU, dtype);
  m->init_weights(seed);
  return m;
}

// Documents that count up in steps of one from anywhere: quickly learnable, so losses fall.
inline void add_document(data::Batch& batch, Rng& rng, int length, int vocabulary = 96) {
  if (batch.cu_seqlens.empty()) batch.cu_seqlens.push_back(0);
  std::vector<int32_t> ids{int32_t(rng.below(uint64_t(vocabulary)))};
  while (int(ids.size()) < length) ids.push_back((ids.back() + 1) % vocabulary);
  for (int t = 0; t < length; ++t) {
    const bool last = t + 1 == length;
    batch.ids.push_back(ids[size_t(t)]);
    batch.targets.push_back(last ? -1 : ids[size_t(t) + 1]);
    batch.loss_weight.push_back(last || t == 0 ? 0.0f : 1.0f);
    batch.positions.push_back(t);
  }
  batch.cu_seqlens.push_back(int32_t(batch.ids.size()));
}

inline data::Batch documents(Rng& rng, const std::vector<int>& lengths) {
  data::Batch batch;
  for (int length : lengths) add_document(batch, rng, length);
  return batch;
}

// The micro-batches of step `step`: a function of the step alone, as a resumable loader gives them.
inline std::vector<data::Batch> step_batches(int64_t step, int micro_batches = 2) {
  Rng rng(77, uint64_t(step));
  std::vector<data::Batch> batches;
  for (int i = 0; i < micro_batches; ++i) batches.push_back(documents(rng, {int(rng.between(5, 20)), int(rng.between(5, 20)), 9}));
  return batches;
}

inline TrainerConfig tiny_training() {
  TrainerConfig config;
  config.learning_rate = 5e-3;
  config.weight_decay = 0.1;
  config.warmup_steps = 3;
  return config;
}

inline std::vector<StepResult> train_steps(Trainer& trainer, int64_t until, const LossSpec& spec = cross_entropy_loss()) {
  std::vector<StepResult> results;
  while (trainer.global_step() < until) results.push_back(trainer.step(step_batches(trainer.global_step()), spec));
  return results;
}

inline std::vector<double> losses_of(const std::vector<StepResult>& results) {
  std::vector<double> losses;
  for (const StepResult& r : results) losses.push_back(r.loss);
  return losses;
}

}  // namespace r1::train
