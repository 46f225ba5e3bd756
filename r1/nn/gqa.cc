#include "r1/nn/gqa.h"

#include <cmath>

#include "r1/base/error.h"
#include "r1/nn/tensor_parallel.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/linear.h"
#include "r1/ops/norm.h"
#include "r1/ops/qkv_heads.h"

namespace r1::nn {

Gqa::Gqa(const GqaShape& s, std::shared_ptr<const ops::RotaryTable> rotary, const Placement& placement)
    : shape_(s), placement_(placement), rotary_(std::move(rotary)), o_(s.heads * s.head_dim, s.dim, s.output_bias, placement) {
  const auto make = [&](std::optional<Linear>& linear, int64_t heads) { linear.emplace(s.dim, heads * s.head_dim, s.qkv_bias, placement); };
  if (s.fused_qkv) {
    make(qkv_, s.heads + 2 * s.kv_heads);
  } else {
    make(q_, s.heads);
    make(k_, s.kv_heads);
    make(v_, s.kv_heads);
  }
  if (s.qk_norm) {
    q_norm_.emplace(s.head_dim, s.norm_eps, placement, s.norm_offset);
    k_norm_.emplace(s.head_dim, s.norm_eps, placement, s.norm_offset);
  }
}

Tensor Gqa::project_kv(const std::optional<Linear>& own, const Tensor& x_TD, int64_t first) const {
  if (shape_.kv_copies == 1 || !own) return project(own, x_TD, first, shape_.kv_heads);
  const Tensor w_OI = shared_by_neighbours(own->matrix(), shape_.kv_copies, placement_.ranks);
  const Tensor b_O = shared_by_neighbours(own->bias(), shape_.kv_copies, placement_.ranks);
  return ops::linear(x_TD, w_OI, b_O).view({x_TD.size(0), shape_.kv_heads, shape_.head_dim});
}

Tensor Gqa::project(const std::optional<Linear>& own, const Tensor& x_TD, int64_t first, int64_t heads) const {
  const int64_t h = shape_.head_dim;
  const Tensor y_TO = own ? (*own)(x_TD) : qkv_->rows(x_TD, first * h, heads * h);
  return y_TO.view({x_TD.size(0), heads, h});
}

double Gqa::scale() const {
  return shape_.scale > 0 ? shape_.scale : 1 / std::sqrt(double(shape_.head_dim));
}

Tensor Gqa::turned(Tensor heads_TNH, const std::optional<RmsNorm>& norm, const Tensor& positions_T) const {
  if (norm) heads_TNH = ops::rms_norm(heads_TNH, shared(norm->weight(), placement_.ranks), shape_.norm_eps, shape_.norm_offset);
  return rotary_ ? ops::rotary(heads_TNH, *rotary_, positions_T) : heads_TNH;
}

Tensor Gqa::queries(const Tensor& x_TD, const Tensor& positions_T) const {
  return turned(project(q_, x_TD, 0, shape_.heads), q_norm_, positions_T);
}

Tensor Gqa::keys(const Tensor& x_TD, const Tensor& positions_T) const {
  return turned(project_kv(k_, x_TD, shape_.heads), k_norm_, positions_T);
}

Tensor Gqa::values(const Tensor& x_TD) const {
  return project_kv(v_, x_TD, shape_.heads + shape_.kv_heads);
}

Tensor Gqa::output(const Tensor& a_TNH) const {
  return summed(o_, a_TNH.reshape({a_TNH.size(0), shape_.heads * shape_.head_dim}), placement_.ranks);
}

Tensor Gqa::operator()(const Tensor& whole_TD, const LayerContext& context, const LayerCache* cache) const {
  const Tensor x_TD = shared(whole_TD, placement_.ranks);
  check((cache != nullptr) == context.sequences.paged(), "[attention] expected a cache exactly when sequences are paged");
  if (has_joint(x_TD) && !(cache && key_bias(context.sequences.cache_form()))) return output(attend_jointly(x_TD, context, cache));
  return output(attend(whole_TD, heads_of(x_TD, context.sequences.positions_T), context, cache));
}

Gqa::Heads Gqa::heads_of(const Tensor& x_TD, const Tensor& positions_T) const {
  if (!joint_.multiplies_packed(x_TD)) return {queries(x_TD, positions_T), keys(x_TD, positions_T), values(x_TD)};
  const std::vector<Tensor> qkv = joint_.apart(x_TD);
  const auto heads = [&](const Tensor& y_TO) { return y_TO.view({y_TO.size(0), y_TO.size(1) / shape_.head_dim, shape_.head_dim}); };
  return {turned(heads(qkv[0]), q_norm_, positions_T), turned(heads(qkv[1]), k_norm_, positions_T), heads(qkv[2])};
}

void Gqa::arrange() {
  if (!q_) return;
  placement_.device.is_cuda() ? joint_.join({&*q_, &*k_, &*v_}) : joint_.join_where_they_are({&*q_, &*k_, &*v_});
}

bool Gqa::replayable() const {
  return attends_plainly() && !is_shared_out(placement_.ranks) && ops::paged_qkv_replays(placement_.dtype, shape_.head_dim, scale()) &&
         (qkv_ || joint_.holds());
}

bool Gqa::has_joint(const Tensor& x_TD) const {
  return attends_plainly() && shape_.kv_copies == 1 && ops::has_cuda_kernels(x_TD) && (qkv_ || joint_.holds());
}

Tensor Gqa::attend_jointly(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const {
  const Tensor qkv_TE = qkv_ ? (*qkv_)(x_TD) : joint_(x_TD);
  const ops::HeadsShape heads{.heads = shape_.heads, .kv_heads = shape_.kv_heads, .head_dim = shape_.head_dim};
  std::optional<ops::HeadNorms> norms;
  const auto weight = [&](const RmsNorm& norm) { return shared(norm.weight(), placement_.ranks); };
  if (q_norm_) norms = {weight(*q_norm_), weight(*k_norm_), shape_.norm_eps, shape_.norm_offset};
  const ops::Sequences& s = context.sequences;
  if (cache) return ops::paged_qkv_attention(qkv_TE, heads, norms ? &*norms : nullptr, rotary_.get(), *cache, s, scale(), shape_.window);
  const ops::Qkv h = ops::split_heads(qkv_TE, heads, norms ? &*norms : nullptr, rotary_.get(), s.positions_T);
  return ops::attention(h.q_TNH, h.k_TKH, h.v_TKH, s, scale(), shape_.window);
}

Tensor Gqa::attend(const Tensor&, const Heads& h, const LayerContext& context, const LayerCache* cache) const {
  if (!cache) return ops::attention(h.q_TNH, h.k_TKH, h.v_TKH, context.sequences, scale(), shape_.window);
  const std::optional<ops::KeyBias> bias = key_bias(context.sequences.cache_form());
  return ops::paged_attention(h.q_TNH, h.k_TKH, h.v_TKH, *cache, context.sequences, scale(), shape_.window, bias ? &*bias : nullptr);
}

std::optional<ops::KeyBias> Gqa::key_bias(const ops::CacheForm& form) const {
  if (form.type != ops::CacheType::kInt4 || !shape_.qkv_bias || k_norm_ || (rotary_ && !rotary_->component_of_pair.empty())) return {};
  const Tensor own_O = k_ ? k_->bias() : qkv_->bias().narrow(0, shape_.heads * shape_.head_dim, shape_.kv_heads * shape_.head_dim);
  return ops::KeyBias{own_O.detach().to(at::kFloat).view({shape_.kv_heads, shape_.head_dim}), rotary_.get()};
}

int64_t Gqa::cache_bytes(const ops::CacheForm& form) const {
  if (!attends_plainly() || shape_.window > 0) ops::check_no_budget("attention", "layers that look at some of the tokens", form);
  if (form.budget > 0 && key_bias(form))
    fail_usage(
        "[attention] this model's keys have a bias, which int4 does without as long as tokens stay at their places, but kv_eviction "
        "heavy_hitters moves them: take kv_cache_dtype int8, or kv_eviction window");
  return ops::paged_attention_bytes(shape_.kv_heads, shape_.head_dim, form, placement_.device, placement_.dtype);
}

void Gqa::keep_heavy_hitters(const LayerCache& cache, const ops::CacheForm& form, const ops::HeldTokens& tokens) const {
  ops::keep_heavy_hitters(cache, form, shape_.kv_heads, shape_.head_dim, placement_.dtype, tokens);
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
