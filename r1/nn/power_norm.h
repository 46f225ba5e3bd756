// PowerNorm with its statistics (ops/power_norm), which training moves after each step and inference only reads.
// State, fp32, zero when new: `count` of steps seen, the running mean of squares, and nu of the backward. The running mean starts as the
// plain average of what was seen so far and becomes the exponential one with the paper's alpha = 0.9; before the first step it counts as 1,
// which is what a scaled row's squares are in the mean. (The authors warm up on the batch's own statistics for thousands of steps; rows
// scaled first don't need it: docs/results/mlp.md.)
#pragma once

#include "r1/nn/norm.h"
#include "r1/ops/power_norm.h"

namespace r1::nn {

class PowerNorm : public Norm {
 public:
  // `name`: the norm's own in the forward's record ("layers.3.mlp_norm").
  PowerNorm(std::string name, int64_t dim, double eps, const Placement& placement);
  Tensor operator()(const Tensor& x, const LayerContext& context) const override;
  using Norm::parameters;
  void parameters(ParameterList list, const std::string& name) override;
  void after_step(const ForwardRecord& record) override;

 private:
  ops::PowerNormState state() const;

  std::string name_;
  double eps_;
  Tensor weight_D_, bias_D_, square_D_, nu_D_, count_1_;
};

}  // namespace r1::nn
