// What GPTQ and SparseGPT both stand on: how an error in one column is best made up for in those after it.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::quant {

// The upper triangular U of (H + damping mean(diag H) 1)^-1 = U^T U, for H [I, I] in fp32 or fp64 on the CPU with no 0 in its diagonal. `damping`
// grows tenfold (from 10^-6 at least) until there is one, and is what it took. Fails where H is not finite, or has none with a damping of 10.
Tensor inverse_factor(const Tensor& h_II, double& damping);

}  // namespace r1::quant
