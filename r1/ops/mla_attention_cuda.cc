
#include "r1/ops/mla_attention_impl.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

// Flash attention has one head size for all (a multiple of 8, up to 256), so values are padded; its causal mask is aligned at the lower
// right corner: keys beyond the queries lie in front of them.
Tensor context_attention_cuda(const Tensor& q_TNH, const Tensor& k_LNH, const Tensor& v_LNV, const Sequences& s, double scale) {
  const bool half = q_TNH.scalar_type() == at::kBFloat16 || q_TNH.scalar_type() == at::kHalf;
  const int64_t missing = q_TNH.size(2) - v_LNV.size(2);
  if (!half || q_TNH.size(2) % 8 != 0 || q_TNH.size(2) > 256 || missing < 0) return context_attention_ref(q_TNH, k_LNH, v_LNV, s, scale);
  const Tensor padded_LNH = missing ? aten::constant_pad_nd(v_LNV, {0, missing}) : v_LNV.contiguous();
  const auto [out_TNH, lse, rng_state, unused, mask] = aten::_flash_attention_forward(
      q_TNH, k_LNH, padded_LNH, s.cu_seqlens_dev, s.cu_keylens_dev, s.max_seqlen, s.max_keylen, /*dropout_p=*/0,
      /*is_causal=*/true, /*return_debug_mask=*/false, scale);
  return out_TNH.narrow(2, 0, v_LNV.size(2));
}

}  // namespace r1::ops
