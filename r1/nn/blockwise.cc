#include "r1/nn/blockwise.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/nn/tensor_parallel.h"
#include "r1/ops/autograd.h"
#include "r1/ops/blockwise_attention.h"
#include "r1/tensor/aten.h"

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

Tensor Blockwise::operator()(const Tensor& whole_TD, const LayerContext& context, const LayerCache* cache) const {
  if (cache || context.sequences.paged()) return Gqa::operator()(whole_TD, context, cache);
  const Tensor x_TD = shared(whole_TD, placement().ranks);
  Tensor y_TD;
  {
    const at::NoGradGuard no_grad;
    y_TD = forward_blocks(x_TD, context);
  }
  const std::vector<Tensor> inputs = with_weights(x_TD, weights_);
  if (!ops::needs_grad(inputs)) return y_TD;
  return ops::differentiable("blockwise", y_TD, inputs, inputs,
                             [this, context](const Tensor& dy_TD, const ops::Tensors& saved, const ops::Wanted&) {
                               return backward_blocks(dy_TD, saved, context);
                             });
}

void Blockwise::for_each_block(const Tensor& x_TD, const LayerContext& context, const std::function<void(const Rows&)>& f) const {
  const auto all_heads = [&] { return aten::empty({x_TD.size(0), shape().kv_heads, shape().head_dim}, x_TD.options()); };
  const Tensor k_TKH = all_heads(), v_TKH = all_heads();
  ops::for_each_block(x_TD.size(0), block_, [&](int64_t begin, int64_t end) {
    Rows r{.begin = begin, .count = end - begin};
    r.positions_b = context.sequences.positions_T.narrow(0, begin, r.count);
    {
      const at::NoGradGuard no_grad;
      const Tensor x_bD = x_TD.narrow(0, begin, r.count);
      k_TKH.narrow(0, begin, r.count).copy_(keys(x_bD, r.positions_b));
      v_TKH.narrow(0, begin, r.count).copy_(values(x_bD));
    }
    const ops::QueryChunk chunk = ops::chunk_of(context.sequences, begin, end, x_TD.device());
    r.sequences = chunk.sequences, r.k_begin = chunk.k_begin, r.seen = end - chunk.k_begin;
    r.k_lKH = k_TKH.narrow(0, r.k_begin, r.seen), r.v_lKH = v_TKH.narrow(0, r.k_begin, r.seen);
    f(r);
  });
}

Tensor Blockwise::forward_blocks(const Tensor& x_TD, const LayerContext& context) const {
  const Tensor y_TD = aten::empty_like(x_TD);
  for_each_block(x_TD, context, [&](const Rows& r) {
    const Tensor q_bNH = queries(x_TD.narrow(0, r.begin, r.count), r.positions_b);
    y_TD.narrow(0, r.begin, r.count).copy_(output(ops::attention(q_bNH, r.k_lKH, r.v_lKH, r.sequences, scale())));
  });
  return y_TD;
}

// First the queries, block by block, which completes the sums of dk and dv; then the keys and values, block by block, from x again.
std::vector<Tensor> Blockwise::backward_blocks(const Tensor& dy_TD, const std::vector<Tensor>& inputs, const LayerContext& context) const {
  const at::AutoGradMode with_grad(true);
  const Tensor& x_TD = inputs[0];
  const std::vector<Tensor> weights(inputs.begin() + 1, inputs.end());
  std::vector<Sum> dweights(weights.size());
  // Adds what `outputs` say of the weights; returns what they say of `of`.
  const auto flow = [&](const std::vector<Tensor>& outputs, const std::vector<Tensor>& grads, const Tensor& of) {
    std::vector<Tensor> leaves{of};
    for (const Tensor& w : weights)
      if (w.requires_grad()) leaves.push_back(w);
    const std::vector<Tensor> found = ops::gradients(outputs, grads, leaves);
    for (size_t i = 0, next = 1; i < weights.size(); ++i)
      if (weights[i].requires_grad()) dweights[i].add(found[next++]);
    return found[0];
  };

  const Tensor dx_TD = aten::empty_like(x_TD);
  const auto sums = [&] { return aten::zeros({x_TD.size(0), shape().kv_heads, shape().head_dim}, x_TD.options().dtype(sum_type(x_TD))); };
  const Tensor dk_TKH = sums(), dv_TKH = sums();
  for_each_block(x_TD, context, [&](const Rows& r) {
    const Tensor x_bD = leaf(x_TD.narrow(0, r.begin, r.count)), q_bNH = queries(x_bD, r.positions_b);
    const auto through_output = [&](const Tensor& out_bNH) {
      const at::AutoGradMode with_grad(true);
      const Tensor a_bNH = leaf(out_bNH);
      return flow({output(a_bNH)}, {dy_TD.narrow(0, r.begin, r.count).contiguous()}, a_bNH);
    };
    const Tensor dq_bNH = ops::block_gradients(q_bNH.detach(), r.k_lKH, r.v_lKH, r.sequences, scale(), through_output,
                                               dk_TKH.narrow(0, r.k_begin, r.seen), dv_TKH.narrow(0, r.k_begin, r.seen));
    dx_TD.narrow(0, r.begin, r.count).copy_(flow({q_bNH}, {dq_bNH}, x_bD));
  });
  ops::for_each_block(x_TD.size(0), block_, [&](int64_t begin, int64_t end) {
    const int64_t rows = end - begin;
    const auto of_block = [&](const Tensor& sum_TKH) { return sum_TKH.narrow(0, begin, rows).to(x_TD.scalar_type()); };
    const Tensor x_bD = leaf(x_TD.narrow(0, begin, rows));
    const std::vector<Tensor> outputs{keys(x_bD, context.sequences.positions_T.narrow(0, begin, rows)), values(x_bD)};
    dx_TD.narrow(0, begin, rows).add_(flow(outputs, {of_block(dk_TKH), of_block(dv_TKH)}, x_bD));
  });
  std::vector<Tensor> grads{dx_TD};
  for (size_t i = 0; i < weights.size(); ++i) grads.push_back(dweights[i].as(weights[i]));
  return grads;
}

BlockwiseFeedForward::BlockwiseFeedForward(std::unique_ptr<FeedForward> inner, int64_t block) : inner_(std::move(inner)), block_(block) {
  inner_->parameters(ParameterList(weights_));
}

Tensor BlockwiseFeedForward::operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache* cache) const {
  if (cache || context.sequences.paged()) return (*inner_)(x_TD, context, cache);
  const Tensor y_TD = aten::empty_like(x_TD);
  {
    const at::NoGradGuard no_grad;
    ops::for_each_block(x_TD.size(0), block_, [&](int64_t begin, int64_t end) {
      y_TD.narrow(0, begin, end - begin).copy_((*inner_)(x_TD.narrow(0, begin, end - begin), context, nullptr));
    });
  }
  const std::vector<Tensor> inputs = with_weights(x_TD, weights_);
  if (!ops::needs_grad(inputs)) return y_TD;
  LayerContext again = context;
  again.recomputed = true;
  return ops::differentiable("blockwise_mlp", y_TD, inputs, inputs,
                             [this, again](const Tensor& dy_TD, const ops::Tensors& saved, const ops::Wanted& want) {
                               return backward_blocks(dy_TD, saved, want, again);
                             });
}

std::vector<Tensor> BlockwiseFeedForward::backward_blocks(const Tensor& dy_TD, const std::vector<Tensor>& inputs,
                                                          const std::vector<bool>& want, const LayerContext& context) const {
  const at::AutoGradMode with_grad(true);
  const Tensor dx_TD = aten::empty_like(inputs[0]);
  std::vector<Sum> dweights(inputs.size());
  ops::for_each_block(dy_TD.size(0), block_, [&](int64_t begin, int64_t end) {
    const Tensor x_bD = leaf(inputs[0].narrow(0, begin, end - begin));
    std::vector<Tensor> leaves{x_bD};
    for (size_t i = 1; i < inputs.size(); ++i)
      if (want[i]) leaves.push_back(inputs[i]);
    const std::vector<Tensor> found =
        ops::gradients({(*inner_)(x_bD, context, nullptr)}, {dy_TD.narrow(0, begin, end - begin).contiguous()}, leaves);
    dx_TD.narrow(0, begin, end - begin).copy_(found[0]);
    for (size_t i = 1, next = 1; i < inputs.size(); ++i)
      if (want[i]) dweights[i].add(found[next++]);
  });
  std::vector<Tensor> grads{dx_TD};
  for (size_t i = 1; i < inputs.size(); ++i) grads.push_back(dweights[i].as(inputs[i]));
  return grads;
}

}  // namespace r1::nn
