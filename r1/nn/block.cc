#include "r1/nn/block.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "r1/ops/autograd.h"
#include "r1/ops/dropout.h"

namespace r1::nn {

Block::Block(int index, const GqaShape& attention, int64_t inner, std::shared_ptr<const ops::RotaryTable> rotary,
             const Placement& placement)
    : index_(index),
      attention_norm_(attention.dim, attention.norm_eps, placement),
      attention_(attention, std::move(rotary), placement),
      mlp_norm_(attention.dim, attention.norm_eps, placement),
      mlp_(attention.dim, inner, placement) {}

Tensor Block::operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const {
  const auto drop = [&](const Tensor& t, int which) {
    return ops::dropout(t, context.dropout, context.dropout_seed, uint64_t(2 * index_ + which));
  };
  const Tensor h_TD = x_TD + drop(attention_(attention_norm_(x_TD), context, cache), 0);
  return h_TD + drop(mlp_(mlp_norm_(h_TD)), 1);
}

Tensor Block::checkpointed(const Tensor& x_TD, const LayerContext& context) {
  std::vector<Parameter> mine;
  parameters(ParameterList(mine));
  ops::Tensors inputs{x_TD};
  for (const Parameter& p : mine) inputs.push_back(*p.tensor);
  if (!ops::needs_grad(inputs)) return (*this)(x_TD, context, nullptr);
  Tensor y_TD;
  {
    const at::NoGradGuard no_grad;
    y_TD = (*this)(x_TD, context, nullptr);
  }
  return ops::differentiable("checkpointed_block", y_TD, inputs, inputs,
                             [this, context](const Tensor& dy_TD, const ops::Tensors& saved, const ops::Wanted& want) {
                               const at::AutoGradMode with_grad(true);
                               const Tensor x_again_TD = saved[0].detach().requires_grad_(want[0]);
                               const Tensor y_again_TD = (*this)(x_again_TD, context, nullptr);
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
  attention_norm_.parameters(list, "attention_norm");
  attention_.parameters(list.under("attention"));
  mlp_norm_.parameters(list, "mlp_norm");
  mlp_.parameters(list.under("mlp"));
}

}  // namespace r1::nn
