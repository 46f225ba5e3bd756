#include "r1/ops/swiglu.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/kernels/cpu/swiglu.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/glu_cuda.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

Tensors backward(const Tensor& dy, const Tensors& saved, const Wanted&) {
  const Tensor &gate = saved[0], &up = saved[1], dy_TF = dy.contiguous();
  Tensor dgate = aten::empty_like(gate), dup = aten::empty_like(up);
  kernels::swiglu_backward({.gate = const_rows(gate),
                            .up = const_rows(up),
                            .dy = const_rows(dy_TF),
                            .dgate = rows(dgate),
                            .dup = rows(dup),
                            .rows = gate.numel() / gate.size(-1),
                            .dim = gate.size(-1)});
  return {dgate, dup};
}

Tensor swiglu_cpu(const Tensor& gate_TF, const Tensor& up_TF) {
  Tensor gate, up, y_TF;
  {
    const at::NoGradGuard no_grad;
    gate = gate_TF.contiguous(), up = up_TF.contiguous(), y_TF = aten::empty_like(gate);
    kernels::swiglu(
        {.gate = const_rows(gate), .up = const_rows(up), .y = rows(y_TF), .rows = gate.numel() / gate.size(-1), .dim = gate.size(-1)});
  }
  return needs_grad({gate_TF, up_TF}) ? differentiable("swiglu", y_TF, {gate_TF, up_TF}, {gate, up}, backward) : y_TF;
}

}  // namespace

Tensor swiglu(const Tensor& gate_TF, const Tensor& up_TF) {
  check(gate_TF.dim() >= 1 && gate_TF.sizes() == up_TF.sizes() && gate_TF.scalar_type() == up_TF.scalar_type(),
        "[swiglu] expected gate and up of one shape and dtype, got ", gate_TF.sizes(), " and ", up_TF.sizes());
  if (has_cpu_kernels(gate_TF)) return swiglu_cpu(gate_TF, up_TF);
  if (has_cuda_kernels(gate_TF)) return glu_cuda("swiglu", Activation::kSilu, gate_TF, up_TF);
  return swiglu_ref(gate_TF, up_TF);
}

Tensor swiglu_joint(const Tensor& gu_T2F) {
  check(gu_T2F.dim() == 2 && gu_T2F.size(1) % 2 == 0, "[swiglu_joint] expected gate and up [T, 2F], got ", gu_T2F.sizes());
  if (has_cuda_kernels(gu_T2F)) return glu_joint_cuda("swiglu_joint", Activation::kSilu, gu_T2F);
  const int64_t F = gu_T2F.size(1) / 2;
  return swiglu(gu_T2F.narrow(1, 0, F), gu_T2F.narrow(1, F, F));
}

}  // namespace r1::ops
