// The SwiGLU MLP: down(silu(gate(x)) * up(x)).
#pragma once

#include "r1/nn/feed_forward.h"
#include "r1/nn/linear.h"

namespace r1::nn {

class Mlp : public FeedForward {
 public:
  Mlp(int64_t dim, int64_t inner, const Placement& placement);
  Tensor operator()(const Tensor& x_TD) const;
  Tensor operator()(const Tensor& x_TD, const LayerContext&, const LayerCache*) const override { return (*this)(x_TD); }
  void parameters(ParameterList list) override;

 private:
  Linear gate_, up_, down_;
};

}  // namespace r1::nn
