// Exact attention over blocks of queries and keys with an online softmax (Rabe, Staats 2021; Liu, Abbeel, "Blockwise Parallel Transformer",
// 2023): no more than block x block scores live at a time. With m, l, o the running maximum, sum and output of a block of queries, each
// block of keys, in order, gives
//   m' = max(m, max_j s_j),  c = exp(m - m'),  p_j = exp(s_j - m'),  l = l c + sum_j p_j,  o = o c + sum_j p_j v_j;  at the end out = o /
//   l.
// Causal; blocks of keys after the block of queries are skipped. Shapes as in attention.h, the training form.
//
// Every block of queries meets the same keys and values, computed once. On the CPU in fp32 the result has the bits of `attention`, of which
// this is the same inner routine; its gradients add up block by block and are near. What this form is for is the layer that keeps nothing
// of a block between forward and backward (nn/blockwise): for_each_block says how the rows are cut.
#pragma once

#include <functional>

#include "r1/ops/attention.h"

namespace r1::ops {

// Calls f(begin, end) for packed rows in order, `block` at a time.
void for_each_block(int64_t tokens, int64_t block, const std::function<void(int64_t begin, int64_t end)>& f);

Tensor blockwise_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                           int64_t block);
// Forward and backward of one block of queries, for a layer that keeps nothing of a block in between. The shapes are those of attention in
// its training form; `dout_of` is told the block's output [b, N, H] and returns the gradient that comes back to it. Returns dq and adds
// to dk and dv, the sums over all blocks (fp32; fp64 for fp64). No graph. On the CPU in fp32 blocks in ascending order give the bits of
// attention's own gradients.
Tensor block_gradients(const Tensor& q_bNH, const Tensor& k_lKH, const Tensor& v_lKH, const Sequences& sequences, double scale,
                       const std::function<Tensor(const Tensor& out_bNH)>& dout_of, const Tensor& dk_lKH, const Tensor& dv_lKH);
// The recurrence above in plain tensor ops.
Tensor blockwise_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                               int64_t block);

}  // namespace r1::ops
