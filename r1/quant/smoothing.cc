#include "r1/quant/smoothing.h"

#include "r1/tensor/aten.h"

namespace r1::quant {

Tensor smoothing_scales(const std::vector<Tensor>& weights_OI, const Tensor& largest_I, double strength) {
  Tensor weights_I = aten::zeros_like(largest_I);
  for (const Tensor& w : weights_OI) weights_I = aten::maximum(weights_I, aten::abs(w).amax({0}));
  const Tensor scale_I = largest_I.pow(strength) / weights_I.pow(1 - strength);
  return aten::where((largest_I > 0).logical_and(weights_I > 0), scale_I, aten::ones_like(scale_I));
}

}  // namespace r1::quant
