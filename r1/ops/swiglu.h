// The gate of the MLP (Shazeer, "GLU Variants Improve Transformer", 2020): silu(gate) * up, computed in fp32 and rounded once.
//   gate, up [T, F]; result like them. swiglu_joint takes both side by side, as one product makes them: [T, 2F], the gate first.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

Tensor swiglu(const Tensor& gate_TF, const Tensor& up_TF);
Tensor swiglu_ref(const Tensor& gate_TF, const Tensor& up_TF);
Tensor swiglu_joint(const Tensor& gu_T2F);
Tensor swiglu_joint_ref(const Tensor& gu_T2F);

}  // namespace r1::ops
