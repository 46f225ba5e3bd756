#include "r1/nn/block.h"

#include <ATen/core/grad_mode.h>

#include "r1/ops/autograd.h"
#include "r1/ops/dropout.h"
#include "r1/tensor/aten.h"

namespace r1::nn {

Block::Block(int index, BlockParts parts) : index_(index), parts_(std::move(parts)) {}

ops::AddNormed Block::normed(const std::unique_ptr<Norm>& norm, const Residual& in, const LayerContext& context) const {
  if (norm && in.delta_TD.defined()) return norm->add(in.x_TD, in.delta_TD, context);
  const Tensor x_TD = in.sum();
  return {x_TD, norm ? (*norm)(x_TD, context) : x_TD};
}

Residual Block::operator()(const Residual& in, const LayerContext& context, BlockCaches caches) const {
  const BlockParts& p = parts_;
  const auto drop = [&](const Tensor& t, int which) {
    return ops::dropout(t, context.dropout, context.dropout_seed, uint64_t(2 * index_ + which));
  };
  const auto post = [&](const std::unique_ptr<Norm>& norm, const Tensor& t) { return norm ? (*norm)(t, context) : t; };
  const ops::AddNormed x = normed(p.attention_norm, in, context);
  const Tensor a_TD = (*p.attention)(x.normed, context, caches.attention);
  const ops::AddNormed h = normed(p.mlp_norm, {x.sum, drop(post(p.attention_post_norm, a_TD), 0)}, context);
  const Tensor m_TD = (*p.mlp)(h.normed, context, caches.mlp);
  return {h.sum, drop(post(p.mlp_post_norm, m_TD), 1)};
}

Tensor Block::checkpointed(const Tensor& x_TD, const LayerContext& context) {
  std::vector<Parameter> mine;
  parameters(ParameterList(mine));
  ops::Tensors inputs{x_TD};
  for (const Parameter& p : mine) inputs.push_back(*p.tensor);
  if (!ops::needs_grad(inputs)) return (*this)({x_TD, {}}, context).sum();
  Tensor y_TD;
  {
    const at::NoGradGuard no_grad;
    y_TD = (*this)({x_TD, {}}, context).sum();
  }
  LayerContext again = context;
  again.recomputed = true;
  return ops::differentiable("checkpointed_block", y_TD, inputs, inputs,
                             [this, again](const Tensor& dy_TD, const ops::Tensors& saved, const ops::Wanted& want) {
                               const at::AutoGradMode with_grad(true);
                               const Tensor x_again_TD = saved[0].detach().requires_grad_(want[0]);
                               const Tensor y_again_TD = (*this)({x_again_TD, {}}, again).sum();
                               ops::Tensors wanted;
                               for (size_t i = 0; i < want.size(); ++i) {
                                 if (want[i]) wanted.push_back(i == 0 ? x_again_TD : saved[i]);
                               }
                               const ops::Tensors found = ops::gradients({y_again_TD}, {dy_TD}, wanted);
                               ops::Tensors grads(want.size());
                               for (size_t i = 0, next = 0; i < want.size(); ++i) {
                                 if (want[i]) grads[i] = found[next++];
                               }
                               return grads;
                             });
}

void Block::parameters(ParameterList list) {
  const auto norm = [&](const std::unique_ptr<Norm>& n, const char* name) {
    if (n) n->parameters(list, name);
  };
  norm(parts_.attention_norm, "attention_norm");
  parts_.attention->parameters(list.under("attention"));
  norm(parts_.attention_post_norm, "attention_post_norm");
  norm(parts_.mlp_norm, "mlp_norm");
  parts_.mlp->parameters(list.under("mlp"));
  norm(parts_.mlp_post_norm, "mlp_post_norm");
}

void Block::arrange() {
  parts_.attention->arrange();
  parts_.mlp->arrange();
}

void Block::after_step(const ForwardRecord& record) {
  for (Module* part : {static_cast<Module*>(parts_.attention_norm.get()), static_cast<Module*>(parts_.attention.get()),
                       static_cast<Module*>(parts_.attention_post_norm.get()), static_cast<Module*>(parts_.mlp_norm.get()),
                       static_cast<Module*>(parts_.mlp.get()), static_cast<Module*>(parts_.mlp_post_norm.get())})
    if (part) part->after_step(record);
}

}  // namespace r1::nn
