// The optimizer over the weight table: which row is updated by which rule, with which decay, and the state that a checkpoint keeps.
// Matrices decay; embeddings, head, norms and biases do not. Under muon the hidden matrices go by Muon (stacked experts
// one by one), everything else by AdamW.
// A model in bf16 keeps fp32 master weights here; an fp32 model's weights are their own master. A tied head is one row, updated once.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "r1/model/transformer.h"
#include "r1/train/trainer.h"

namespace r1::train {

class Optimizer {
 public:
  Optimizer(model::Transformer& model, const TrainerConfig& config);

  struct Row {
    const model::WeightRow* weight;
    bool muon = false;
    double weight_decay = 0;
    Tensor own_master;        // fp32; undefined if the weight is fp32 itself
    Tensor moment1, moment2;  // AdamW: both; Muon: momentum in the first
  };
  const std::vector<Row>& rows() const { return rows_; }

  // fp32 gradients in the order of rows(); an undefined one leaves its row as it is. `scale` multiplies them (clipping), `factor` is the
  // schedule's.
  void update(std::span<const Tensor> gradients, double scale, double factor);

  int64_t updates() const { return updates_; }  // t of AdamW's bias correction
  void set_updates(int64_t n) { updates_ = n; }

  // "<HF name>.exp_avg", ".exp_avg_sq", ".momentum_buffer", ".master": shared storage, not copies.
  std::vector<std::pair<std::string, Tensor>> state_tensors() const;
  void load_state(const std::vector<std::pair<std::string, Tensor>>& tensors);

 private:
  model::Transformer& model_;
  TrainerConfig config_;
  std::vector<Row> rows_;
  int64_t updates_ = 0;
};

}  // namespace r1::train
