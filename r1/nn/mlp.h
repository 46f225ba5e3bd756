// The dense MLP: down(act(gate(x)) * up(x)) for the gated activations (SwiGLU, GEGLU), down(gelu(up(x))) without a gate (GPT-2), and
// down(gelu(layer_norm(up(x)))), whose neurons are normed over the token's `inner` of them before they fire.
// GELU is the tanh form. In training, dropout acts on what goes into `down`.
#pragma once

#include <optional>

#include "r1/nn/feed_forward.h"
#include "r1/nn/joint_linear.h"

namespace r1::nn {

struct MlpShape {
  enum Activation { kSwiGlu, kGeGlu, kGelu, kNormGelu } activation = kSwiGlu;
  int64_t dim = 0, inner = 0;
  bool bias = false;
  double dropout = 0, norm_eps = 1e-5;
  uint64_t layer = 0;  // tells this layer's dropout masks from others'
};

class Mlp : public FeedForward {
 public:
  Mlp(const MlpShape& shape, const Placement& placement);
  Mlp(int64_t dim, int64_t inner, const Placement& placement) : Mlp(MlpShape{.dim = dim, .inner = inner}, placement) {}
  // Without dropout.
  Tensor operator()(const Tensor& x_TD) const;
  Tensor operator()(const Tensor& x_TD, const LayerContext& context, const LayerCache*) const override;
  void parameters(ParameterList list) override;
  void arrange() override;
  bool replayable() const override { return true; }

 private:
  Tensor hidden(const Tensor& x_TD) const;

  MlpShape shape_;
  dist::Group* ranks_;  // that have neurons each (nn/tensor_parallel)
  std::optional<Linear> gate_;
  Linear up_, down_;
  JointLinear gate_up_;          // of gate_ and up_
  Tensor norm_F_, norm_bias_F_;  // kNormGelu: of the norm between up and down
};

// The dropout of an MLP's neurons: only in training, by counter (ops/dropout), apart from the masks of the residual stream.
Tensor mlp_dropout(const Tensor& hidden_TF, double p, uint64_t layer, const LayerContext& context);

}  // namespace r1::nn
