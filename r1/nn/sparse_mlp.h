// The SwiGLU MLP of which each token keeps its strongest neurons only (ops/topk_sparse), and the controller of how many.
//
// A layer's sparsity, the share of neurons that are off, starts at `sparsity` and is moved after each step, within [min, max]:
//   sparsity += speed * clamp(ln(target / g), -1, 1)
// g is the norm of the step's gradient at the layer's neurons, `target` the given one or, where that is 0, the mean of all sparse layers'.
// A layer that the loss still pulls at gets neurons back, a quiet one loses some. The state is one fp32 number, the distance from the
// start, 0 when new. Decoding few tokens on the CPU reads the chosen neurons' weights only, with the bits of the dense form.
#pragma once

#include "r1/nn/feed_forward.h"

namespace r1::nn {

struct SparseMlpShape {
  int64_t dim = 0, inner = 0;
  double sparsity = 0.5, min_sparsity = 0.3, max_sparsity = 0.8, target_grad_norm = 0, speed = 0.01;
  double dropout = 0;
  uint64_t layer = 0;
};

class SparseMlp : public FeedForward {
 public:
  SparseMlp(const SparseMlpShape& shape, const Placement& placement);
  Tensor operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache*) const override;
  void parameters(ParameterList list) override;
  void after_step(const ForwardRecord& record) override;
  double sparsity() const;
  int64_t kept() const;  // neurons that are on

 private:
  SparseMlpShape shape_;
  Weight gate_FD_, up_FD_, down_FD_;  // down neuron by neuron
  Tensor shift_1_;
};

}  // namespace r1::nn
