// Calibration batches through a model: states and loss, for whoever asks what a model's parts do.
#pragma once

#include <vector>

#include "r1/data/batch.h"
#include "r1/model/transformer.h"
#include "r1/ops/logprob.h"

namespace r1::quant {

// States after the final norm [T, D]. `layers`: also those after the embedding [0] and each layer.
Tensor states_of(model::Transformer& model, const data::Batch& batch, std::vector<Tensor>* layers = nullptr);
// Negative log-likelihood of the targets, weighted and summed, with graph where a weight requires grad.
ops::Nll loss_of(model::Transformer& model, const data::Batch& batch);

}  // namespace r1::quant
