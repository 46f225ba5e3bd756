
#include "r1/ops/hybrid_attention.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor hybrid_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& logit_T1,
                            const Sequences& sequences, double scale, const Window& window) {
  const Tensor gate_T11 = aten::sigmoid(logit_T1).unsqueeze(-1);
  const Tensor local_TNH = attention_ref(q_TNH, k_TKH, v_TKH, sequences, scale, window);
  const Tensor global_TNH = attention_ref(q_TNH, k_TKH, v_TKH, sequences, scale);
  return gate_T11 * local_TNH + (1 - gate_T11) * global_TNH;
}

}  // namespace r1::ops
