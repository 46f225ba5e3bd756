// AWQ (Lin et al., "AWQ: Activation-aware Weight Quantization for On-Device LLM Compression and Acceleration", arXiv 2306.00978): channels of
// large inputs are made larger in the weights before rounding and smaller where the input is made (the norm before, or the rows of the
// layer before), which changes nothing but what rounding costs. Then ranges are clipped where that lowers the outputs' error.
//
// Scales: s = mean|x|^a, normed to sqrt(max min) = 1, for a = 0, 1/20, .. 19/20; errors are exact over all calibration tokens, from the Gram
// matrix H = sum x x^T: tr(D H D^T), D = Q(W s) / s - W.
#pragma once

#include <vector>

#include "r1/quant/grid.h"

namespace r1::quant {

struct AwqScales {
  Tensor scale_I;       // fp32
  double exponent = 0;  // a
  double error = 0;     // of the outputs, relative; with s = 1 it is `unscaled`
  double unscaled = 0;
};

// Of matrices that read one input. mean_abs_I: mean |x| of each channel.
AwqScales awq_scales(const std::vector<Tensor>& weights_OI, const Tensor& mean_abs_I, const Tensor& gram_II, int64_t group,
                     const GridOptions& grid);

// The range of each row and group, shrunk in steps of 1/20 down to the half where the outputs' error falls; then rounded to the nearest.
tensor::IntegerMatrix awq_clip_and_round(const Tensor& weight_OI, const Tensor& gram_II, int64_t group, const GridOptions& grid);

}  // namespace r1::quant
