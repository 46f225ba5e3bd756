// Dynamic hybrid attention: each token's gate g = sigmoid(W2 silu(W1 x)) mixes attention through a growing window with attention to
// everything, of the same rotated q, k and v (ops/hybrid_attention). W1 [head_dim, D], W2 [1, head_dim]: one gate for all heads of a token.
#pragma once

#include "r1/nn/gqa.h"
#include "r1/ops/attention.h"

namespace r1::nn {

class Hybrid : public Gqa {
 public:
  Hybrid(const GqaShape& shape, std::shared_ptr<const ops::RotaryTable> rotary, const ops::Window& window, const Placement& placement);
  void parameters(ParameterList list) override;

 protected:
  bool attends_plainly() const override { return false; }
  Tensor attend(const Tensor& x_TD, const Heads& heads, const LayerContext& context, const LayerCache* cache) const override;

 private:
  ops::Window window_;
  Linear mix_in_, mix_out_;
};

}  // namespace r1::nn
