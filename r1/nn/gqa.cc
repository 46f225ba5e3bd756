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

double Gqa::scale() const {
  return shape_.scale > 0 ? shape_.scale : 1 / std::sqrt(double(shape_.head_dim));
}

Tensor Gqa::queries(const Tensor& x_TD, const Tensor& positions_T) const {
  Tensor q_TNH = q_(x_TD).view({x_TD.size(0), shape_.heads, shape_.head_dim});
  if (q_norm_) q_TNH = (*q_norm_)(q_TNH);
  return rotary_ ? ops::rotary(q_TNH, *rotary_, positions_T) : q_TNH;
}

Tensor Gqa::keys(const Tensor& x_TD, const Tensor& positions_T) const {
  Tensor k_TKH = k_(x_TD).view({x_TD.size(0), shape_.kv_heads, shape_.head_dim});
  if (k_norm_) k_TKH = (*k_norm_)(k_TKH);
  return rotary_ ? ops::rotary(k_TKH, *rotary_, positions_T) : k_TKH;
}

Tensor Gqa::values(const Tensor& x_TD) const {
  return v_(x_TD).view({x_TD.size(0), shape_.kv_heads, shape_.head_dim});
}

Tensor Gqa::output(const Tensor& a_TNH) const {
  return o_(a_TNH.reshape({a_TNH.size(0), shape_.heads * shape_.head_dim}));
}

Tensor Gqa::operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const {
  check((cache != nullptr) == (context.sequences.paged != nullptr), "[attention] expected a cache exactly when sequences are paged");
  const Heads heads{queries(x_TD, context.positions_T), keys(x_TD, context.positions_T), values(x_TD)};
  return output(attend(x_TD, heads, context, cache));
}

Tensor Gqa::attend(const Tensor&, const Heads& h, const LayerContext& context, const LayerCache* cache) const {
  return cache ? ops::paged_attention(h.q_TNH, h.k_TKH, h.v_TKH, *cache, context.sequences, scale(), shape_.window)
               : ops::attention(h.q_TNH, h.k_TKH, h.v_TKH, context.sequences, scale(), shape_.window);
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
