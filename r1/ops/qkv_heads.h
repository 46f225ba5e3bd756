// From a joint projection of queries, keys and values, one row a token [T, E], E = (N + 2 K) H, to heads: optional RMSNorm of each head of q
// and of k (ops/norm.h), then optional rotation by position (ops/rotary.h), each rounded once to the row's dtype. Columns are q's heads, k's,
// v's. What rms_norm and rotary give one after another; on CUDA one kernel forward and one backward (two where norms have gradients).
#pragma once

#include "r1/ops/attention.h"
#include "r1/ops/rotary.h"

namespace r1::ops {

struct HeadsShape {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
};
struct HeadNorms {
  Tensor q_weight_H, k_weight_H;
  double eps = 1e-6, offset = 0;
};
struct Qkv {
  Tensor q_TNH, k_TKH, v_TKH;
};

// qkv [T, E] with dense columns. `norms`, `table`: null where there are none. positions: as rotary's, not read without a table. Gradients of
// the rows and of the norms' weights.
Qkv split_heads(const Tensor& qkv_TE, const HeadsShape& shape, const HeadNorms* norms, const RotaryTable* table, const Tensor& positions);
Qkv split_heads_ref(const Tensor& qkv_TE, const HeadsShape& shape, const HeadNorms* norms, const RotaryTable* table,
                    const Tensor& positions);

// paged_attention (ops/attention.h) of split_heads at the batch's positions: [T, N, H]. On CUDA keys and values go straight to the cache, and
// nothing that is launched depends on how long the sequences are, as long as each has few new rows. No gradient.
Tensor paged_qkv_attention(const Tensor& qkv_TE, const HeadsShape& shape, const HeadNorms* norms, const RotaryTable* table,
                           const Tensor& cache, const Sequences& sequences, double scale, const Window& window = {});
// Whether that holds for heads of this kind.
bool paged_qkv_replays(at::ScalarType dtype, int64_t head_dim, double scale);
Tensor paged_qkv_attention_ref(const Tensor& qkv_TE, const HeadsShape& shape, const HeadNorms* norms, const RotaryTable* table,
                               const Tensor& cache, const Sequences& sequences, double scale, const Window& window = {});

}  // namespace r1::ops
