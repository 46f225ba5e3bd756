#include "r1/nn/mla.h"

#include "r1/base/error.h"
#include "r1/nn/tensor_parallel.h"
#include "r1/ops/head_product.h"
#include "r1/ops/mla_attention.h"
#include "r1/tensor/aten.h"

namespace r1::nn {

namespace {

// Of the latents' norms, in the published code and in transformers, whatever the model's own epsilon.
constexpr double kLatentEps = 1e-6;

}  // namespace

Mla::Mla(const MlaShape& s, std::shared_ptr<const ops::RotaryTable> rotary, const Placement& placement)
    : shape_(s),
      placement_(placement),
      rotary_(std::move(rotary)),
      kv_a_(s.dim, s.kv_lora + s.rope, s.bias, placement),
      kv_b_(s.kv_lora, s.heads * (s.nope + s.v), false, placement),
      o_(s.heads * s.v, s.dim, s.bias, placement),
      kv_a_norm_(s.kv_lora, kLatentEps, placement) {
  if (s.q_lora > 0) {
    q_a_.emplace(s.dim, s.q_lora, s.bias, placement);
    q_a_norm_.emplace(s.q_lora, kLatentEps, placement);
    q_b_.emplace(s.q_lora, s.heads * s.head(), false, placement);
  } else {
    q_.emplace(s.dim, s.heads * s.head(), false, placement);
  }
}

Tensor Mla::operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const {
  check((cache != nullptr) == context.sequences.paged(), "[mla] expected a cache exactly when sequences are paged");
  const Tensor q_TNH = queries(x_TD, context);
  const auto [c_TR, r_TP] = latents(x_TD, context);
  Tensor a_TNV;
  if (cache) {
    ops::mla_append(aten::cat({c_TR, r_TP}, 1), *cache, context.sequences);
    a_TNV = attend_cached(q_TNH, context, *cache);
  } else {
    const auto [k_TNH, v_TNV] = expand(shared(c_TR, placement_.ranks), shared(r_TP, placement_.ranks));
    a_TNV = ops::attention(q_TNH, k_TNH, v_TNV, context.sequences, shape_.scale);
  }
  return summed(o_, a_TNV.reshape({x_TD.size(0), shape_.heads * shape_.v}), placement_.ranks);
}

Tensor Mla::queries(const Tensor& x_TD, const LayerContext& context) const {
  dist::Group* ranks = placement_.ranks;
  const Tensor q_TQ = q_ ? (*q_)(shared(x_TD, ranks)) : (*q_b_)(shared((*q_a_norm_)((*q_a_)(x_TD)), ranks));
  const Tensor q_TNH = q_TQ.view({x_TD.size(0), shape_.heads, shape_.head()});
  const Tensor rotated_TNP = ops::rotary(q_TNH.narrow(2, shape_.nope, shape_.rope), *rotary_, context.sequences.positions_T);
  return aten::cat({q_TNH.narrow(2, 0, shape_.nope), rotated_TNP}, 2);
}

std::pair<Tensor, Tensor> Mla::latents(const Tensor& x_TD, const LayerContext& context) const {
  const Tensor kv_TW = kv_a_(x_TD);
  const Tensor r_T1P = kv_TW.narrow(1, shape_.kv_lora, shape_.rope).unsqueeze(1);
  return {kv_a_norm_(kv_TW.narrow(1, 0, shape_.kv_lora)), ops::rotary(r_T1P, *rotary_, context.sequences.positions_T).squeeze(1)};
}

std::pair<Tensor, Tensor> Mla::expand(const Tensor& c_TR, const Tensor& r_TP) const {
  const Tensor kv_TNE = kv_b_(c_TR).view({c_TR.size(0), shape_.heads, shape_.nope + shape_.v});
  return {ops::with_shared_key(kv_TNE.narrow(2, 0, shape_.nope), r_TP), kv_TNE.narrow(2, shape_.nope, shape_.v)};
}

Tensor Mla::attend_cached(const Tensor& q_TNH, const LayerContext& context, const LayerCache& cache) const {
  const ops::Sequences& sequences = context.sequences;
  // Elsewhere than on the CPU nothing is promised of the bits: new prompts, where queries share the expanded keys, are expanded.
  const bool expanded = placement_.device.is_cpu() ? sequences.exact : sequences.max_seqlen > 1;
  if (!expanded) return absorbed(q_TNH, context, cache);
  const auto expand_rows = [this](const Tensor& latent_LW) {
    return expand(latent_LW.narrow(1, 0, shape_.kv_lora), latent_LW.narrow(1, shape_.kv_lora, shape_.rope));
  };
  return ops::mla_expanded(q_TNH, cache, sequences, shape_.cached(), expand_rows, shape_.scale);
}

Tensor Mla::absorbed(const Tensor& q_TNH, const LayerContext& context, const LayerCache& cache) const {
  const Tensor w_NER = kv_b_.matrix().view({shape_.heads, shape_.nope + shape_.v, shape_.kv_lora});
  const Tensor w_k_NCR = w_NER.narrow(1, 0, shape_.nope), w_v_NRV = w_NER.narrow(1, shape_.nope, shape_.v).transpose(1, 2);
  const Tensor q_TNR = ops::head_product(q_TNH.narrow(2, 0, shape_.nope), w_k_NCR);
  const Tensor q_TNW = aten::cat({q_TNR, q_TNH.narrow(2, shape_.nope, shape_.rope)}, 2);
  return ops::head_product(ops::mla_absorbed(q_TNW, cache, context.sequences, shape_.kv_lora, shape_.scale), w_v_NRV);
}

int64_t Mla::cache_bytes(const ops::CacheForm& form) const {
  ops::check_no_budget("mla_attention", "layers with latent attention", form);
  return ops::mla_cache_bytes(shape_.cached(), form, placement_.dtype);
}

void Mla::parameters(ParameterList list) {
  if (q_) q_->parameters(list, "q");
  if (q_a_) {
    q_a_->parameters(list, "q_a");
    q_a_norm_->parameters(list, "q_a_norm");
    q_b_->parameters(list, "q_b");
  }
  kv_a_.parameters(list, "kv_a");
  kv_a_norm_.parameters(list, "kv_a_norm");
  kv_b_.parameters(list, "kv_b");
  o_.parameters(list, "o");
}

}  // namespace r1::nn
