// Attention over cached latents (multi-head latent attention: DeepSeek-V2, arXiv 2405.04434, section 2.1), for the engine. A layer's cache
// holds of each token the normed latent c [R] that its keys and values are made of, and the rotated key r [P] that all heads share:
// W = R + P values, whatever the number of heads. With W_K, W_V the two parts of a head's up-projection,
//
//   score(t, j, n) = scale (q_nope[t, n] . (W_K[n] c_j) + q_rope[t, n] . r_j),   out[t, n] = sum_j softmax_j(score) W_V[n] c_j
//
// Two forms of this sum, equal but for rounding:
//   expanded  the keys [W_K[n] c_j ; r_j] and the values W_V[n] c_j of all cached tokens are made again, then plain attention. CPU: bitwise
//             what the training form gives, since each row is made and attended to by the same routines. A step costs R (C + V) products a
//             cached token and head.
//   absorbed  [W_K[n]^T q_nope ; q_rope] is one query of width W against the latents themselves; the sum of latents goes through W_V[n] at
//             the end. R + W products a cached token and head, and the latents are read once for all heads.
//
// The cache is of the form that the batch says (cache_form.h): rows are rounded to its type when they are written, int8 with one scale a token and
// kInt8Group values, int4 by groups of 32 (unmixed), and made again from what stands there. Where first and last tokens alone are kept, the rows between are zeros, which no
// query sees.
//
// CPU: in either form a token's result does not depend, bit for bit, on chunks, batches, block ids or threads. No gradients.
#pragma once

#include <functional>
#include <utility>

#include "r1/ops/attention.h"

namespace r1::ops {

// Bytes of a block of tokens of `width` = R + P values: rows [block_size, W] of the form's type, or the model's `dtype`.
inline constexpr int64_t kInt8Group = 64;
int64_t mla_cache_bytes(int64_t width, const CacheForm& form, at::ScalarType dtype);

// Writes the new tokens' rows [T, W] after the cached ones. `cache`: uint8 [blocks, mla_cache_bytes(...)], one layer's.
void mla_append(const Tensor& latent_TW, const Tensor& cache, const Sequences& sequences);

// The rows of all tokens, cached and new, of sequences first .. last - 1: [L, W].
Tensor mla_gather(const Tensor& cache, const Sequences& sequences, int64_t first, int64_t last, int64_t width, at::ScalarType dtype);

// Latents [L, W] -> keys [L, N, H] and values [L, N, V].
using ExpandLatents = std::function<std::pair<Tensor, Tensor>(const Tensor& latent_LW)>;

// q [T, N, H] -> [T, N, V]. Sequences are expanded a group at a time, so that no more than about 8192 cached tokens (or one sequence)
// stand in memory as keys and values.
Tensor mla_expanded(const Tensor& q_TNH, const Tensor& cache, const Sequences& sequences, int64_t width, const ExpandLatents& expand,
                    double scale);

// q [T, N, W] -> sums of latents [T, N, R], R = latent.
Tensor mla_absorbed(const Tensor& q_TNW, const Tensor& cache, const Sequences& sequences, int64_t latent, double scale);
Tensor mla_absorbed_ref(const Tensor& q_TNW, const Tensor& cache, const Sequences& sequences, int64_t latent, double scale);

// Keys of all heads: [k_nope[t, n] ; r[t]]. k_nope [T, N, C], r [T, P] -> [T, N, C + P]. Has a gradient; r's is summed over the heads in
// their order.
Tensor with_shared_key(const Tensor& k_nope_TNC, const Tensor& r_TP);

}  // namespace r1::ops
