#include "r1/nn/linear.h"

#include "r1/ops/linear.h"

namespace r1::nn {

Linear::Linear(int64_t in, int64_t out, bool bias, const Placement& placement)
    : weight_OI_({out, in}, placement), bias_O_(bias ? new_weight({out}, placement) : Tensor()) {}

Tensor Linear::operator()(const Tensor& x_TI) const {
  return ops::linear(weight_OI_.input(x_TI), weight_OI_.dense(), bias_O_);
}

Tensor Linear::rows(const Tensor& x_TI, int64_t first, int64_t count) const {
  return ops::linear(weight_OI_.input(x_TI), weight_OI_.rows(first, count), bias_O_.defined() ? bias_O_.narrow(0, first, count) : bias_O_);
}

void Linear::parameters(ParameterList list) {
  parameters(list, "weight");
}

void Linear::parameters(ParameterList list, const std::string& name) {
  list.add(name, weight_OI_);
  if (bias_O_.defined()) list.add(name + "_bias", bias_O_);
}

}  // namespace r1::nn
