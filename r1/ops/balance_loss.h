// Losses that push a router towards equal load, and how a layer's own loss joins the step's without a place in the network's result.
//   T tokens, E experts, K chosen a token. s' = score / sum of the row's scores; P_e = mean of s' over tokens; n_e = tokens that chose e.
//   kSequence  sum over sequences, each in proportion to its length, of sum_e f_e P_e with f_e = E n_e / (K T_seq): 1 when all is even
//              (DeepSeek-V3, arXiv 2412.19437, eq. 17-20; V2's expert-level loss over each sequence)
//   kBatch     E sum_e (n_e / T) P_e over all tokens: K when all is even (Switch, arXiv 2101.03961, eq. 4-6; the scale of transformers'
//              router_aux_loss_coef for top K. There one sum runs over the tokens of all layers, here each layer has its own.)
//   kSquare    sum_e (P_e - 1/E)^2 over all tokens: 0 when all is even
// n_e is a count: gradients flow through P only. CPU fp32: sums over tokens have a fixed order, in fp64.
#pragma once

#include <cstdint>
#include <vector>

#include "r1/tensor/tensor.h"

namespace r1::ops {

enum class Balance { kSequence, kBatch, kSquare };

// score [T, E] fp32 with graph, expert [T, K] int64, cu_seqlens of T tokens -> a scalar like the scores.
Tensor balance_loss(const Tensor& score_TE, const Tensor& expert_TK, const std::vector<int32_t>& cu_seqlens, Balance kind);
Tensor balance_loss_ref(const Tensor& score_TE, const Tensor& expert_TK, const std::vector<int32_t>& cu_seqlens, Balance kind);

// x as it is; in the backward `loss` gets the gradient `weight`, as if weight * loss had been added to what is minimised. It works wherever
// the gradient of x comes by once: in packed micro-batches, and in a block that is run again for its backward.
Tensor attach_loss(const Tensor& x, const Tensor& loss, double weight);

}  // namespace r1::ops
