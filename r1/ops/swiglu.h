// The gate of the MLP (Shazeer, "GLU Variants Improve Transformer", 2020): silu(gate) * up, computed in fp32 and rounded once.
//   gate, up [T, F]; result like them.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

Tensor swiglu(const Tensor& gate_TF, const Tensor& up_TF);
Tensor swiglu_ref(const Tensor& gate_TF, const Tensor& up_TF);

}  // namespace r1::ops
