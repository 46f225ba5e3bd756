// What a student is told by its teacher, as a loss for the trainer (distill.h).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "r1/model/transformer.h"
#include "r1/ops/divergence.h"
#include "r1/train/trainer.h"

namespace r1::stages {

class TeacherLogits;

// Pairs of layers whose states are compared, student's and teacher's: 0 is the embedding, i what block i gives (the last is before the final
// norm). With a matrix each from one to the other, learned beside the student.
class HiddenMaps {
 public:
  // "3:6" each. Usage error if one is no pair of layers of the two.
  HiddenMaps(const std::vector<std::string>& pairs, const model::ModelConfig& student, const model::ModelConfig& teacher,
             tensor::Device device, uint64_t seed);
  HiddenMaps(const HiddenMaps&) = delete;  // rows point at the tensors
  const std::vector<std::pair<int64_t, int64_t>>& pairs() const { return pairs_; }
  const model::WeightTable* rows() const { return maps_.empty() ? nullptr : &rows_; }
  // Mean over pairs and learned tokens' relative squared distance, times the tokens' weights: a sum with graph.
  Tensor loss(const train::ForwardResult& student, const train::ForwardResult& teacher, const Tensor& weights_R) const;

  // hidden_maps.safetensors in a checkpoint's folder.
  void save(const std::filesystem::path& folder) const;
  void load(const std::filesystem::path& folder);

 private:
  std::vector<std::pair<int64_t, int64_t>> pairs_;
  std::vector<Tensor> maps_;  // [D_teacher, D_student], fp32
  model::WeightTable rows_;
};

// Usage error, without weights, if one of these is no pair "student:teacher" of layers that there are.
void check_hidden_layers(const std::vector<std::string>& pairs, const model::ModelConfig& student, const model::ModelConfig& teacher);

struct DistillLossParts {
  const model::Transformer* student = nullptr;
  ops::DivergenceOptions divergence;  // with the weights of both terms
  int64_t top_k = 0;                  // of a live teacher; 0: its whole distribution
  double hidden_weight = 0;
  model::Transformer* teacher = nullptr;  // live logits, hidden states
  const TeacherLogits* stored = nullptr;  // in place of live logits
  const HiddenMaps* maps = nullptr;
};
// All that is pointed at must outlive it. Metrics: divergence, cross_entropy, hidden_loss.
train::LossSpec distill_loss(const DistillLossParts& parts);

}  // namespace r1::stages
