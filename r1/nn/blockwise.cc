#include "r1/nn/blockwise.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>

#include "r1/base/error.h"
#include "r1/ops/autograd.h"
#include "r1/ops/blockwise_attention.h"

namespace r1::nn {

namespace {

std::vector<Tensor> with_weights(const Tensor& x_TD, const std::vector<Parameter>& weights) {
  std::vector<Tensor> inputs{x_TD};
  for (const Parameter& w : weights) inputs.push_back(*w.tensor);
  return inputs;
}

at::ScalarType sum_type(const Tensor& t) {
  return t.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

// Sums of gradients in fp32 (fp64 stays); undefined until something came.
struct Sum {
  Tensor sum;
  void add(const Tensor& gradient) {
    if (!gradient.defined()) return;
    if (sum.defined()) {
      sum.add_(gradient);
    } else {
      sum = gradient.to(sum_type(gradient), /*non_blocking=*/false, /*copy=*/true);
    }
  }
  Tensor as(const Tensor& like) const { return sum.defined() ? sum.to(like.scalar_type()) : sum; }
};

Tensor leaf(const Tensor& t) {
  return t.detach().requires_grad_();
}

}  // namespace

Blockwise::Blockwise(const GqaShape& shape, std::shared_ptr<const ops::RotaryTable> rotary, int64_t block, const Placement& placement)
    : Gqa(shape, std::move(rotary), placement), block_(block) {
  check(shape.window == 0, "[blockwise] expected exact attention, got a window of ", shape.window);
  Gqa::parameters(ParameterList(weights_));
}

Tensor Blockwise::operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const {
  if (cache || context.sequences.paged) return Gqa::operator()(x_TD, context, cache);
  Tensor y_TD;
  {
    const at::NoGradGuard no_grad;
    y_TD = forward_blocks(x_TD, context);
  }
  const std::vector<Tensor> inputs = with_weights(x_TD, weights_);
  if (!ops::needs_grad(inputs)) return y_TD;
  return ops::differentiable("blockwise", y_TD, inputs, inputs,
                             [this, context](const Tensor& dy_TD, const ops::Tensors& saved, const ops::Wanted&) {
                               return backward_blocks(dy_TD.contiguous(), saved, context);
                             });
}

Tensor Blockwise::forward_blocks(const Tensor& x_TD, const LayerContext& context) const {
  const Tensor y_TD = at::empty_like(x_TD), k_TKH = keys(x_TD, context.positions_T), v_TKH = values(x_TD);
  ops::for_each_block(x_TD.size(0), block_, [&](int64_t begin, int64_t end) {
    const ops::QueryChunk chunk = ops::chunk_of(context.sequences, begin, end, x_TD.device());
    const int64_t rows = end - begin, seen = end - chunk.k_begin;
    const Tensor q_bNH = queries(x_TD.narrow(0, begin, rows), context.positions_T.narrow(0, begin, rows));
    const Tensor a_bNH =
        ops::attention(q_bNH, k_TKH.narrow(0, chunk.k_begin, seen), v_TKH.narrow(0, chunk.k_begin, seen), chunk.sequences, scale());
    y_TD.narrow(0, begin, rows).copy_(output(a_bNH));
  });
  return y_TD;
}

std::vector<Tensor> Blockwise::backward_blocks(const Tensor& dy_TD, const std::vector<Tensor>& inputs, const LayerContext& context) const {
  const at::AutoGradMode with_grad(true);
  const Tensor& x_TD = inputs[0];
  const std::vector<Tensor> weights(inputs.begin() + 1, inputs.end());
  std::vector<Sum> dweights(weights.size());
  // Adds what `outputs` say of the weights; returns what they say of `leaves`.
  const auto flow = [&](const std::vector<Tensor>& outputs, const std::vector<Tensor>& grads, std::vector<Tensor> leaves) {
    const size_t count = leaves.size();
    for (const Tensor& w : weights)
      if (w.requires_grad()) leaves.push_back(w);
    std::vector<Tensor> found = ops::gradients(outputs, grads, leaves);
    for (size_t i = 0, next = count; i < weights.size(); ++i)
      if (weights[i].requires_grad()) dweights[i].add(found[next++]);
    found.resize(count);
    return found;
  };

  const Tensor x_leaf_TD = leaf(x_TD), k_TKH = keys(x_leaf_TD, context.positions_T), v_TKH = values(x_leaf_TD);
  const Tensor dx_TD = at::empty_like(x_TD), dk_TKH = at::zeros_like(k_TKH, sum_type(k_TKH)),
               dv_TKH = at::zeros_like(v_TKH, sum_type(v_TKH));
  ops::for_each_block(x_TD.size(0), block_, [&](int64_t begin, int64_t end) {
    const ops::QueryChunk chunk = ops::chunk_of(context.sequences, begin, end, x_TD.device());
    const int64_t rows = end - begin, seen = end - chunk.k_begin;
    const Tensor x_bD = leaf(x_TD.narrow(0, begin, rows)), k_lKH = leaf(k_TKH.narrow(0, chunk.k_begin, seen)),
                 v_lKH = leaf(v_TKH.narrow(0, chunk.k_begin, seen));
    const Tensor q_bNH = queries(x_bD, context.positions_T.narrow(0, begin, rows));
    const Tensor y_bD = output(ops::attention(q_bNH, k_lKH, v_lKH, chunk.sequences, scale()));
    const std::vector<Tensor> found = flow({y_bD}, {dy_TD.narrow(0, begin, rows)}, {x_bD, k_lKH, v_lKH});
    dx_TD.narrow(0, begin, rows).copy_(found[0]);
    dk_TKH.narrow(0, chunk.k_begin, seen).add_(found[1]);
    dv_TKH.narrow(0, chunk.k_begin, seen).add_(found[2]);
  });
  const std::vector<Tensor> of_keys = flow({k_TKH, v_TKH}, {dk_TKH.to(k_TKH.scalar_type()), dv_TKH.to(v_TKH.scalar_type())}, {x_leaf_TD});
  std::vector<Tensor> grads{dx_TD + of_keys[0]};
  for (size_t i = 0; i < weights.size(); ++i) grads.push_back(dweights[i].as(weights[i]));
  return grads;
}

BlockwiseFeedForward::BlockwiseFeedForward(std::unique_ptr<FeedForward> inner, int64_t block) : inner_(std::move(inner)), block_(block) {
  inner_->parameters(ParameterList(weights_));
}

Tensor BlockwiseFeedForward::operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const {
  if (cache || context.sequences.paged) return (*inner_)(x_TD, context, cache);
  const Tensor y_TD = at::empty_like(x_TD);
  {
    const at::NoGradGuard no_grad;
    ops::for_each_block(x_TD.size(0), block_, [&](int64_t begin, int64_t end) {
      y_TD.narrow(0, begin, end - begin).copy_((*inner_)(x_TD.narrow(0, begin, end - begin), context, nullptr));
    });
  }
  const std::vector<Tensor> inputs = with_weights(x_TD, weights_);
  if (!ops::needs_grad(inputs)) return y_TD;
  LayerContext again = context;
  again.record = nullptr;  // what there is to record has been
  return ops::differentiable("blockwise_mlp", y_TD, inputs, inputs,
                             [this, again](const Tensor& dy_TD, const ops::Tensors& saved, const ops::Wanted& want) {
                               return backward_blocks(dy_TD.contiguous(), saved, want, again);
                             });
}

std::vector<Tensor> BlockwiseFeedForward::backward_blocks(const Tensor& dy_TD, const std::vector<Tensor>& inputs,
                                                          const std::vector<bool>& want, const LayerContext& context) const {
  const at::AutoGradMode with_grad(true);
  const Tensor dx_TD = at::empty_like(inputs[0]);
  std::vector<Sum> dweights(inputs.size());
  ops::for_each_block(dy_TD.size(0), block_, [&](int64_t begin, int64_t end) {
    const Tensor x_bD = leaf(inputs[0].narrow(0, begin, end - begin));
    std::vector<Tensor> leaves{x_bD};
    for (size_t i = 1; i < inputs.size(); ++i)
      if (want[i]) leaves.push_back(inputs[i]);
    const std::vector<Tensor> found = ops::gradients({(*inner_)(x_bD, context, nullptr)}, {dy_TD.narrow(0, begin, end - begin)}, leaves);
    dx_TD.narrow(0, begin, end - begin).copy_(found[0]);
    for (size_t i = 1, next = 1; i < inputs.size(); ++i)
      if (want[i]) dweights[i].add(found[next++]);
  });
  std::vector<Tensor> grads{dx_TD};
  for (size_t i = 1; i < inputs.size(); ++i) grads.push_back(dweights[i].as(inputs[i]));
  return grads;
}

}  // namespace r1::nn
