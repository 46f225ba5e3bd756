// How the ranks of a group share a network out (tensor parallelism; Shoeybi et al., Megatron-LM, arXiv 1909.08053): heads of attention and
// neurons of the MLP are split, so that a layer's first matrices are cut along their outputs (axis 0), its last one along its inputs
// (axis 1), and each rank's result is one term of a sum. Embedding and head are cut along the vocabulary, experts by number. Norms,
// routers and the biases of what is summed are whole on every rank; such a bias counts once.
#pragma once

#include <vector>

#include "r1/model/config.h"
#include "r1/model/weights.h"
#include "r1/nn/placement.h"

namespace r1::model {

// The config of one rank's layers: as many heads and neurons as it holds. Usage errors name what the group's size does not divide.
ModelConfig shard_config(const ModelConfig& config, const nn::Group& group);

// The part of `whole`, a tensor of the row's shape, that a rank holds; all of it where the row is not split.
Tensor shard_of(const WeightRow& row, const Tensor& whole, const nn::Group& group);
// The whole of all ranks' parts, in the order of the ranks.
Tensor join_shards(const WeightRow& row, const std::vector<Tensor>& shards);

}  // namespace r1::model
