// RMSNorm with its weight.
#pragma once

#include "r1/nn/module.h"

namespace r1::nn {

class RmsNorm : public Module {
 public:
  RmsNorm(int64_t dim, double eps, const Placement& placement) : weight_D_(new_weight({dim}, placement)), eps_(eps) {}
  Tensor operator()(const Tensor& x) const;
  void parameters(ParameterList list) override { list.add("weight", weight_D_); }
  void parameters(ParameterList list, const std::string& name) { list.add(name, weight_D_); }

 private:
  Tensor weight_D_;
  double eps_;
};

}  // namespace r1::nn
