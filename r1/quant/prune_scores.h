// How much each part of a model matters: what little of it goes first.
//
//   of a channel c of an MLP (its rows of gate and up, its column d_c of down, its value h_c)     of a group S of heads (likewise, with o)
//   l1          sum of |w| over all its weights                                                   likewise
//   activation  |d_c| sqrt(mean over tokens of h_c^2): the size of what it adds                   sqrt(mean over tokens of |o_S a_S|^2)
//   gradient    sum over batches of |sum_t h_c dL/dh_c|: how the loss would change without it,    likewise
//               to first order (Molchanov et al., 1611.06440)
//   of n layers from l on
//   angular     arccos(cos(x_l, x_{l+n})) / pi, mean over tokens, of the states before and after   (Gromov et al., 2403.17887, eq. 5)
#pragma once

#include <span>
#include <string>
#include <vector>

#include "r1/data/batch.h"
#include "r1/model/transformer.h"

namespace r1::quant {

// Scores [channels] and [key-value heads] of each layer, fp64 on the CPU; empty where they were not asked for.
struct PartScores {
  std::vector<Tensor> channels, kv_heads;
};
struct WantedScores {
  std::string by = "activation";  // l1 | activation | gradient
  bool channels = false, kv_heads = false;
};
// l1 reads no batch. The model must be plain (not packed); its weights and gradients are as before when it returns.
PartScores part_scores(model::Transformer& model, std::span<const data::Batch> batches, const WantedScores& wanted);

// Entry l: the distance between the states before layer l and before layer l + n, l = 0 .. L - n.
std::vector<double> angular_distances(model::Transformer& model, std::span<const data::Batch> batches, int64_t n);

// The numbers of the `count` largest scores, rising. Of equal scores the first.
std::vector<int64_t> largest(const Tensor& scores, int64_t count);

// Mean loss of the batches' learned tokens (data::Batch::loss_weight).
double mean_loss(model::Transformer& model, std::span<const data::Batch> batches);

}  // namespace r1::quant
