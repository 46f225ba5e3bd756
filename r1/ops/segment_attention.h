// Attention with a learned bias of the distance and the recurrence of Transformer-XL (Dai et al., 2019): a sequence is cut into segments of
// w tokens, counted from its start. The query at position p, in the segment that begins at s = w (p / w), sees the keys
//   max(0, s - (w - 1)) .. p,   its own segment up to itself and the w - 1 tokens before the segment,
//   out[p, h] = sum_j softmax_j(scale q[p, h] . k[j, h'] + bias[h, p - j]) v[j, h'],   h' = h / (N / K).
// Distances are 0 .. 2 w - 2, so a head's bias has 2 w - 1 entries. Keys and values of the segment before are a cache: constants, through
// which no gradient flows. (Transformer-XL caches hidden states, so that its key and value weights learn from the memory too; here, as in
// the engine, keys and values themselves are what is kept.) Stacked, layers see further back than 2 w - 2 tokens.
//   q [T, N, H], k and v [T, K, H], bias [N, 2 w - 1] of q's dtype; result [T, N, H].
//
// Segments are cut by position, so the paged form (engine) sees what the training form saw: CPU fp32 gives the same bits in either, as in
// attention.h. Blocks of positions below s - (w - 1) are never read again.
#pragma once

#include "r1/ops/attention.h"

namespace r1::ops {

Tensor segment_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& bias_NB, const Sequences& sequences,
                         double scale);
Tensor segment_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& bias_NB,
                             const Sequences& sequences, double scale);

// `cache`: as paged_attention's, of the same size.
Tensor paged_segment_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& bias_NB, const Tensor& cache,
                               const Sequences& sequences, double scale);
Tensor paged_segment_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& bias_NB,
                                   const Tensor& cache, const Sequences& sequences, double scale);

}  // namespace r1::ops
