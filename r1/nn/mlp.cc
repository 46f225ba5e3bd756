#include "r1/nn/mlp.h"

#include "r1/ops/swiglu.h"

namespace r1::nn {

Mlp::Mlp(int64_t dim, int64_t inner, const Placement& placement)
    : gate_(dim, inner, false, placement), up_(dim, inner, false, placement), down_(inner, dim, false, placement) {}

Tensor Mlp::operator()(const Tensor& x_TD) const {
  return down_(ops::swiglu(gate_(x_TD), up_(x_TD)));
}

void Mlp::parameters(ParameterList list) {
  gate_.parameters(list, "gate");
  up_.parameters(list, "up");
  down_.parameters(list, "down");
}

}  // namespace r1::nn
