// A linear map and, alone, the knowledge of how its weight is stored: callers say layer(x) and never touch the weight. (Quantized storage
// moves in here.)
#pragma once

#include "r1/nn/module.h"

namespace r1::nn {

class Linear : public Module {
 public:
  Linear(int64_t in, int64_t out, bool bias, const Placement& placement);
  // x [T, in] -> [T, out]
  Tensor operator()(const Tensor& x_TI) const;
  // The outputs [first, first + count) alone.
  Tensor rows(const Tensor& x_TI, int64_t first, int64_t count) const;
  // [out, in], for a layer that takes its rows apart (nn/mla).
  const Tensor& weight() const { return weight_OI_; }
  // Lists weight under the layer's own name ("q") and the bias beside it ("q_bias").
  void parameters(ParameterList list) override;
  void parameters(ParameterList list, const std::string& name);

 private:
  Tensor weight_OI_, bias_O_;
};

}  // namespace r1::nn
