// RMSNorm and LayerNorm on a device, with and without a sum before them: what norm.cc, layer_norm.cc and add_norm.cc share.
#pragma once

#include "r1/kernels/cuda/norm.h"
#include "r1/ops/autograd.h"

namespace r1::ops {

using kernels::cuda::NormKind;

struct NormForm {
  const char* name;  // of the op, in ATen's graph
  NormKind kind;
  double eps = 0, offset = 0;
};

// Whether the kernel takes them: fp32 or bf16 on a device, one type, something in them.
bool takes_norm_kernel(const Tensor& x, const Tensor& weight_D, const Tensor& bias_D = {});

// With their graph. bias is undefined for RMSNorm.
Tensor norm_cuda(const NormForm& form, const Tensor& x, const Tensor& weight_D, const Tensor& bias_D = {});
// x + delta, and its norm.
Tensors add_norm_cuda(const NormForm& form, const Tensor& x, const Tensor& delta, const Tensor& weight_D, const Tensor& bias_D = {});

}  // namespace r1::ops
