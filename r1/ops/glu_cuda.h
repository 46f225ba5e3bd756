// Activations and gates of an MLP on a device: what swiglu.cc and gelu.cc share.
#pragma once

#include "r1/kernels/cuda/glu.h"
#include "r1/tensor/tensor.h"

namespace r1::ops {

using kernels::cuda::Activation;

// f(gate) up with its graph, `up` undefined for f(gate) alone; for tensors that has_cuda_kernels() takes. `name` is the op's in ATen's graph.
Tensor glu_cuda(const char* name, Activation activation, const Tensor& gate_TF, const Tensor& up_TF = {});
// The same of both side by side, [T, 2F], whose gradient is one tensor too.
Tensor glu_joint_cuda(const char* name, Activation activation, const Tensor& gu_T2F);

}  // namespace r1::ops
