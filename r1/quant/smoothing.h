// SmoothQuant (Xiao et al., "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models", arXiv 2211.10438, eq. 4):
// inputs whose channels differ widely are hard to round with one scale, and weights are not. So a channel is divided by s where it is made (the
// norm before, or the rows of the layer before) and the weights' column is multiplied by it: s_j = max|x_j|^a / max|w_j|^(1 - a).
#pragma once

#include <vector>

#include "r1/tensor/tensor.h"

namespace r1::quant {

// s [I], fp32, of matrices [O, I] that read one input; largest_I: max |x| of each channel; `strength` is a. A channel that was never anything but
// zero, or that no weight reads, stays as it is: 1.
Tensor smoothing_scales(const std::vector<Tensor>& weights_OI, const Tensor& largest_I, double strength);

}  // namespace r1::quant
