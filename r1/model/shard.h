// How the ranks of a group share a network out (tensor parallelism; Shoeybi et al., Megatron-LM, arXiv 1909.08053): heads of attention and
// neurons of the MLP are split, so that a layer's first matrices are cut along their outputs (axis 0), its last one along its inputs
// (axis 1), and each rank's result is one term of a sum. Of a mixture every expert is split so, by its own neurons. Embedding and head are cut
// along the vocabulary. Norms, routers, latents' projections and the biases of what is summed are whole on every rank; such a bias counts once.
// Heads of keys and values may be fewer than the ranks: those whose queries ask the same one hold it alike.
#pragma once

#include <vector>

#include "r1/model/config.h"
#include "r1/model/weights.h"
#include "r1/nn/placement.h"

namespace r1::model {

// The config of one rank's layers: as many heads, neurons and tokens as it holds. Usage errors name what the group's size does not divide.
ModelConfig shard_config(const ModelConfig& config, const nn::Group& group);
// Ranks in a row that hold the same heads of keys and values.
int64_t kv_copies(const ModelConfig& config, int64_t ranks);

// Different parts that a row which has a shard axis is split into.
int64_t shard_parts(const WeightRow& row, int64_t ranks);
// The part of `whole`, a tensor of the row's whole shape, that a rank holds; all of it where the row is not split.
Tensor shard_of(const WeightRow& row, const Tensor& whole, const nn::Group& group);
// Puts a rank's part into its place there.
void place_shard(const WeightRow& row, const Tensor& whole, const Tensor& shard, const nn::Group& group);
// The whole of all ranks' parts, in the order of the ranks.
Tensor join_shards(const WeightRow& row, const std::vector<Tensor>& shards);

// Whether this rank is the first of those that hold what it holds of a row: what is counted over ranks counts there.
bool is_counted(const WeightRow& row, const nn::Group& group);

// Whether it is a row of a network that ranks share, and this one's a part of it.
bool is_split(const WeightRow& row);
// The row as a network that nobody shares has it: of the whole shape, in `whole`, which must live as long.
WeightRow whole_row(const WeightRow& row, Tensor& whole);
// The same for who asks after names and shapes alone: `whole` gets no memory.
WeightRow whole_row_without_memory(const WeightRow& row, Tensor& whole);

}  // namespace r1::model
