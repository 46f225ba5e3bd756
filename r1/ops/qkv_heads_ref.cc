
#include "r1/ops/norm.h"
#include "r1/ops/qkv_heads.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Qkv split_heads_ref(const Tensor& qkv_TE, const HeadsShape& s, const HeadNorms* norms, const RotaryTable* table, const Tensor& positions) {
  const auto part = [&](int64_t first, int64_t heads) {
    return qkv_TE.narrow(1, first * s.head_dim, heads * s.head_dim).reshape({qkv_TE.size(0), heads, s.head_dim});
  };
  const auto made = [&](const Tensor& x_TNH, const Tensor& weight_H) {
    const Tensor normed_TNH = norms ? rms_norm_ref(x_TNH, weight_H, norms->eps, norms->offset) : x_TNH;
    return table ? rotary_ref(normed_TNH, *table, positions) : normed_TNH;
  };
  return {made(part(0, s.heads), norms ? norms->q_weight_H : Tensor()),
          made(part(s.heads, s.kv_heads), norms ? norms->k_weight_H : Tensor()), part(s.heads + s.kv_heads, s.kv_heads)};
}

Tensor paged_qkv_attention_ref(const Tensor& qkv_TE, const HeadsShape& shape, const HeadNorms* norms, const RotaryTable* table,
                               const Tensor& cache, const Sequences& sequences, double scale, const Window& window) {
  const Qkv h = split_heads_ref(qkv_TE, shape, norms, table, sequences.positions_T);
  return paged_attention_ref(h.q_TNH, h.k_TKH, h.v_TKH, cache, sequences, scale, window);
}

}  // namespace r1::ops
