#include "r1/nn/gqa.h"

#include <cmath>

#include "r1/base/error.h"
#include "r1/ops/attention.h"

namespace r1::nn {

Gqa::Gqa(const GqaShape& s, std::shared_ptr<const ops::RotaryTable> rotary, const Placement& placement)
    : shape_(s),
      placement_(placement),
      rotary_(std::move(rotary)),
      o_(s.heads * s.head_dim, s.dim, s.output_bias, placement) {
  if (shape_.scale == 0) shape_.scale = 1 / std::sqrt(double(s.head_dim));
  if (s.fused_qkv) {
    qkv_.emplace(s.dim, (s.heads + 2 * s.kv_heads) * s.head_dim, s.qkv_bias, placement);
  } else {
    q_.emplace(s.dim, s.heads * s.head_dim, s.qkv_bias, placement);
    k_.emplace(s.dim, s.kv_heads * s.head_dim, s.qkv_bias, placement);
    v_.emplace(s.dim, s.kv_heads * s.head_dim, s.qkv_bias, placement);
  }
  if (s.qk_norm) {
    q_norm_.emplace(s.head_dim, s.norm_eps, placement, s.norm_offset);
    k_norm_.emplace(s.head_dim, s.norm_eps, placement, s.norm_offset);
  }
}

Gqa::Heads Gqa::project(const Tensor& x_TD) const {
  const int64_t tokens = x_TD.size(0), n = shape_.heads, k = shape_.kv_heads, h = shape_.head_dim;
  if (!qkv_) return {(*q_)(x_TD).view({tokens, n, h}), (*k_)(x_TD).view({tokens, k, h}), (*v_)(x_TD).view({tokens, k, h})};
  const Tensor all_TMH = (*qkv_)(x_TD).view({tokens, n + 2 * k, h});
  return {all_TMH.narrow(1, 0, n), all_TMH.narrow(1, n, k), all_TMH.narrow(1, n + k, k)};
}

Tensor Gqa::operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const {
  const int64_t tokens = x_TD.size(0);
  auto [q_TNH, k_TKH, v_TKH] = project(x_TD);
  if (q_norm_) {
    q_TNH = (*q_norm_)(q_TNH);
    k_TKH = (*k_norm_)(k_TKH);
  }
  if (rotary_) {
    q_TNH = ops::rotary(q_TNH, *rotary_, context.positions_T);
    k_TKH = ops::rotary(k_TKH, *rotary_, context.positions_T);
  }
  check((cache != nullptr) == (context.sequences.paged != nullptr), "[gqa] expected a cache exactly when sequences are paged");
  const Tensor a_TNH = cache ? ops::paged_attention(q_TNH, k_TKH, v_TKH, *cache, context.sequences, shape_.scale)
                             : ops::attention(q_TNH, k_TKH, v_TKH, context.sequences, shape_.scale);
  return o_(a_TNH.reshape({tokens, shape_.heads * shape_.head_dim}));
}

int64_t Gqa::cache_bytes(int32_t block_size) const {
  return ops::paged_attention_bytes(shape_.kv_heads, shape_.head_dim, block_size, placement_.device, placement_.dtype);
}

void Gqa::parameters(ParameterList list) {
  if (q_) q_->parameters(list, "q");
  if (k_) k_->parameters(list, "k");
  if (v_) v_->parameters(list, "v");
  if (qkv_) qkv_->parameters(list, "qkv");
  o_.parameters(list, "o");
  if (q_norm_) q_norm_->parameters(list, "q_norm");
  if (k_norm_) k_norm_->parameters(list, "k_norm");
}

}  // namespace r1::nn
