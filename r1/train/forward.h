// One batch of plain arrays through the model to log-probabilities of its targets: the road shared by training, the reference model and
// scoring.
#pragma once

#include <functional>

#include "r1/model/transformer.h"
#include "r1/train/trainer.h"

namespace r1::train {

struct ForwardArgs {
  double temperature = 1.0;
  bool want_entropy = false;
  bool only_weighted = false;           // rows with loss_weight 0 give log-probability 0 and skip the head
  bool states = false, layers = false;  // ForwardResult::states in place of log-probabilities
  bool nll = false;                     // ForwardResult::nll where a device makes it; the log-probabilities then have no graph
  double dropout = 0;
  uint64_t dropout_seed = 0;
  double aux_scale = 0;                 // nn::LayerContext
  nn::ForwardRecord* record = nullptr;  // likewise
  bool mtp = false;                     // multi-token prediction as well
  model::ForwardOptions model;
};

// Checks the batch (lengths, cu_seqlens, ids below the vocabulary) and throws [batch] errors. Builds a graph if grad mode is on.
ForwardResult forward(model::Transformer& model, const data::Batch& batch, const ForwardArgs& args);

// The rows of a tensor [T, ...] that ForwardResult::states says are learned from.
Tensor learned_rows(const ForwardResult& forward, const Tensor& x_TD);

}  // namespace r1::train
