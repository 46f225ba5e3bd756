#include "r1/nn/hybrid.h"

#include "r1/nn/tensor_parallel.h"
#include "r1/ops/hybrid_attention.h"
#include "r1/ops/swiglu.h"
#include "r1/tensor/aten.h"

namespace r1::nn {

Hybrid::Hybrid(const GqaShape& s, std::shared_ptr<const ops::RotaryTable> rotary, const ops::Window& window, const Placement& placement)
    : Gqa(s, std::move(rotary), placement),
      window_(window),
      mix_in_(s.dim, s.head_dim, false, placement),
      mix_out_(s.head_dim, 1, false, placement) {}

Tensor Hybrid::attend(const Tensor& x_TD, const Heads& h, const LayerContext& context, const LayerCache* cache) const {
  const Tensor inner_TG = mix_in_(x_TD);
  const Tensor logit_T1 = shared(mix_out_(ops::swiglu(inner_TG, aten::ones_like(inner_TG))), placement().ranks);
  return cache ? ops::paged_hybrid_attention(h.q_TNH, h.k_TKH, h.v_TKH, logit_T1, *cache, context.sequences, scale(), window_)
               : ops::hybrid_attention(h.q_TNH, h.k_TKH, h.v_TKH, logit_T1, context.sequences, scale(), window_);
}

void Hybrid::parameters(ParameterList list) {
  Gqa::parameters(list);
  mix_in_.parameters(list, "mix_in");
  mix_out_.parameters(list, "mix_out");
}

}  // namespace r1::nn
