#include "r1/nn/router.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/ops/attention.h"
#include "r1/ops/linear.h"
#include "r1/ops/running_mean.h"
#include "r1/tensor/aten.h"

namespace r1::nn {

Router::Router(std::string name, const RouterShape& shape, const Placement& placement)
    : name_(std::move(name)),
      shape_(shape),
      weight_EI_(new_weight({shape.experts, shape.context ? 2 * shape.dim : shape.dim}, placement)),
      bias_E_(shape.bias ? new_weight({shape.experts}, {placement.device, at::kFloat}) : Tensor()) {}

Tensor Router::features(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const {
  const Tensor wide_TD = x_TD.to(at::kFloat);
  if (!shape_.context) return wide_TD;
  check((cache != nullptr) == context.sequences.paged(), "[router] expected a cache exactly when the context is paged");
  const Tensor c_TD = cache ? ops::paged_running_mean(wide_TD, *cache, context.sequences) : ops::running_mean(wide_TD, context.sequences);
  return aten::cat({wide_TD, c_TD}, 1);
}

ops::Routes Router::operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const {
  const Tensor logits_TE = ops::linear(features(x_TD, context, cache), weight_EI_.to(at::kFloat));
  return ops::route(logits_TE, bias_E_, shape_.route);
}

Tensor Router::balanced(const Tensor& y_TD, const ops::Routes& routes, const ops::ExpertRows& rows, const LayerContext& context) const {
  const double weight = context.aux_scale * shape_.balance_weight;
  ForwardRecord* record = context.forward_record();
  if (!record && weight == 0) return y_TD;
  const Tensor loss = ops::balance_loss(routes.score_TE, routes.expert_TK, context.sequences.cu_seqlens, shape_.balance);
  if (record) {
    const at::NoGradGuard no_grad;
    const Tensor ends_E = rows.ends_E.to(at::kFloat), first = ends_E.narrow(0, 0, 1);
    record->add(name_ + ".load", aten::cat({first, ends_E.diff()}, 0));
    record->add(name_ + ".balance_loss", loss.detach() * context.aux_scale);
  }
  return weight > 0 ? ops::attach_loss(y_TD, loss, weight) : y_TD;
}

int64_t Router::cache_bytes(const ops::CacheForm& form) const {
  if (shape_.context) ops::check_no_budget("router", "routers that carry a running mean", form);
  return shape_.context ? ops::paged_running_mean_bytes(shape_.dim, form.block_size) : 0;
}

void Router::parameters(ParameterList list) {
  list.add("router", weight_EI_);
  if (bias_E_.defined()) list.add("router_bias", bias_E_);
}

void Router::after_step(const ForwardRecord& record) {
  const auto load = record.sums.find(name_ + ".load");
  if (!bias_E_.defined() || load == record.sums.end()) return;
  const at::NoGradGuard no_grad;
  const Tensor& load_E = load->second;
  bias_E_.add_(aten::sign(load_E.mean() - load_E), shape_.bias_update_speed);
}

}  // namespace r1::nn
