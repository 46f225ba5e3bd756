// GELU (Hendrycks and Gimpel, 2016), alone or as the gate of an MLP (GEGLU: Shazeer, "GLU Variants Improve Transformer", 2020): gelu(gate)
// up, computed in fp32 and rounded once.
//   kExact: x Phi(x), Phi the normal distribution's.   kTanh: x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 (GPT-2, Gemma; HF's gelu_new
//   and gelu_pytorch_tanh).
//   x, gate, up [..., F]; result like them. geglu_joint takes gate and up side by side, as one product makes them: [T, 2F], the gate first.
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

enum class GeluForm { kExact, kTanh };

Tensor gelu(const Tensor& x, GeluForm form);
Tensor gelu_ref(const Tensor& x, GeluForm form);
Tensor geglu(const Tensor& gate_TF, const Tensor& up_TF, GeluForm form);
Tensor geglu_ref(const Tensor& gate_TF, const Tensor& up_TF, GeluForm form);
Tensor geglu_joint(const Tensor& gu_T2F, GeluForm form);
Tensor geglu_joint_ref(const Tensor& gu_T2F, GeluForm form);

}  // namespace r1::ops
