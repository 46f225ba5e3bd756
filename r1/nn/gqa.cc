#include "r1/nn/gqa.h"

#include <cmath>

#include "r1/base/error.h"
#include "r1/ops/attention.h"

namespace r1::nn {

Gqa::Gqa(const GqaShape& s, std::shared_ptr<const ops::RotaryTable> rotary, const Placement& placement)
    : shape_(s),
      placement_(placement),
      rotary_(std::move(rotary)),
      q_(s.dim, s.heads * s.head_dim, s.qkv_bias, placement),
      k_(s.dim, s.kv_heads * s.head_dim, s.qkv_bias, placement),
      v_(s.dim, s.kv_heads * s.head_dim, s.qkv_bias, placement),
      o_(s.heads * s.head_dim, s.dim, s.output_bias, placement) {
  if (s.qk_norm) {
    q_norm_.emplace(s.head_dim, s.norm_eps, placement);
    k_norm_.emplace(s.head_dim, s.norm_eps, placement);
  }
}

Tensor Gqa::operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const {
  const int64_t tokens = x_TD.size(0);
  Tensor q_TNH = q_(x_TD).view({tokens, shape_.heads, shape_.head_dim});
  Tensor k_TKH = k_(x_TD).view({tokens, shape_.kv_heads, shape_.head_dim});
  const Tensor v_TKH = v_(x_TD).view({tokens, shape_.kv_heads, shape_.head_dim});
  if (q_norm_) {
    q_TNH = (*q_norm_)(q_TNH);
    k_TKH = (*k_norm_)(k_TKH);
  }
  q_TNH = ops::rotary(q_TNH, *rotary_, context.positions_T);
  k_TKH = ops::rotary(k_TKH, *rotary_, context.positions_T);
  const double scale = 1 / std::sqrt(double(shape_.head_dim));
  check((cache != nullptr) == (context.sequences.paged != nullptr), "[gqa] expected a cache exactly when sequences are paged");
  const Tensor a_TNH = cache ? ops::paged_attention(q_TNH, k_TKH, v_TKH, *cache, context.sequences, scale)
                             : ops::attention(q_TNH, k_TKH, v_TKH, context.sequences, scale);
  return o_(a_TNH.reshape({tokens, shape_.heads * shape_.head_dim}));
}

int64_t Gqa::cache_bytes(int32_t block_size) const {
  return ops::paged_attention_bytes(shape_.kv_heads, shape_.head_dim, block_size, placement_.device, placement_.dtype);
}

void Gqa::parameters(ParameterList list) {
  q_.parameters(list, "q");
  k_.parameters(list, "k");
  v_.parameters(list, "v");
  o_.parameters(list, "o");
  if (q_norm_) q_norm_->parameters(list, "q_norm");
  if (k_norm_) k_norm_->parameters(list, "k_norm");
}

}  // namespace r1::nn
