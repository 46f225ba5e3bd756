// Dynamic hybrid attention: a gate of each token mixes what it sees nearby and what it sees of all before it,
//   out[t] = g[t] local[t] + (1 - g[t]) global[t],   g = sigmoid(logit[t]),
// local and global being `attention` with the window and without, of the same q, k and v. The window is meant to grow with the text
// (Window::at): 256 tokens up to position 1027, a quarter of the tokens so far past it, 4096 from position 16383 on, by default.
//   q [T, N, H], k and v [T, K, H], logit [T, 1], one gate for all heads of a token; result [T, N, H].
// The paged form caches keys and values once, for both. CPU fp32: a token's bits are the same in either form, as in attention.h.
#pragma once

#include "r1/ops/attention.h"

namespace r1::ops {

Tensor hybrid_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& logit_T1, const Sequences& sequences,
                        double scale, const Window& window);
Tensor hybrid_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& logit_T1,
                            const Sequences& sequences, double scale, const Window& window);
// `cache`: as paged_attention's, of the same size.
Tensor paged_hybrid_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& logit_T1, const Tensor& cache,
                              const Sequences& sequences, double scale, const Window& window);

}  // namespace r1::ops
