// A linear map: callers say layer(x) and know nothing of how its weight is stored (nn/weight).
#pragma once

#include "r1/nn/module.h"

namespace r1::nn {

class Linear : public Module {
 public:
  Linear(int64_t in, int64_t out, bool bias, const Placement& placement);
  // x [T, in] -> [T, out]
  Tensor operator()(const Tensor& x_TI) const;
  Tensor without_bias(const Tensor& x_TI) const { return weight_OI_.product(x_TI); }
  // The outputs [first, first + count) alone.
  Tensor rows(const Tensor& x_TI, int64_t first, int64_t count) const;
  // The matrix as [out, in] for this use, for a layer whose product is another (nn/mla).
  Tensor matrix() const { return weight_OI_.dense(); }
  // The slots, and whether the weight lies packed (it has no tensor then).
  Tensor& weight() { return weight_OI_.slot(); }
  Tensor& bias() { return bias_O_; }
  const Tensor& bias() const { return bias_O_; }
  bool packed() const { return weight_OI_.packed(); }
  Weight& stored() { return weight_OI_; }
  const Weight& stored() const { return weight_OI_; }
  bool has_input() const { return weight_OI_.has_input(); }
  // Lists weight under the layer's own name ("q") and the bias beside it ("q_bias").
  void parameters(ParameterList list) override;
  void parameters(ParameterList list, const std::string& name);

 private:
  Weight weight_OI_;
  Tensor bias_O_;
};

}  // namespace r1::nn
