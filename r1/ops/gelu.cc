#include "r1/ops/gelu.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/glu_cuda.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// `up` may be undefined: GELU alone.
Tensor forward(const Tensor& gate, const Tensor& up, GeluForm form) {
  Tensor y = aten::empty_like(gate);
  kernels::geglu({.gate = const_rows(gate),
                  .up = up.defined() ? const_rows(up) : kernels::ConstRows{},
                  .y = rows(y),
                  .rows = gate.numel() / gate.size(-1),
                  .dim = gate.size(-1),
                  .form = kernel_form(form)});
  return y;
}

// saved: gate and, for GEGLU, up
Tensors backward(const Tensor& dy, const Tensors& saved, GeluForm form) {
  const Tensor &gate = saved[0], dy_dense = dy.contiguous();
  const bool gated = saved.size() > 1;
  Tensor dgate = aten::empty_like(gate), dup = gated ? aten::empty_like(gate) : Tensor();
  kernels::geglu_backward({.gate = const_rows(gate),
                           .up = gated ? const_rows(saved[1]) : kernels::ConstRows{},
                           .dy = const_rows(dy_dense),
                           .dgate = rows(dgate),
                           .dup = gated ? rows(dup) : kernels::Rows{},
                           .rows = gate.numel() / gate.size(-1),
                           .dim = gate.size(-1),
                           .form = kernel_form(form)});
  return gated ? Tensors{dgate, dup} : Tensors{dgate};
}

Tensor on_cpu(const char* name, const Tensors& inputs, GeluForm form) {
  Tensors dense;
  Tensor y;
  {
    const at::NoGradGuard no_grad;
    for (const Tensor& t : inputs) dense.push_back(t.contiguous());
    y = forward(dense[0], dense.size() > 1 ? dense[1] : Tensor(), form);
  }
  if (!needs_grad(inputs)) return y;
  return differentiable(name, y, inputs, dense,
                        [form](const Tensor& dy, const Tensors& saved, const Wanted&) { return backward(dy, saved, form); });
}

Activation activation_of(GeluForm form) {
  return form == GeluForm::kTanh ? Activation::kGeluTanh : Activation::kGeluExact;
}

}  // namespace

Tensor gelu(const Tensor& x, GeluForm form) {
  check(x.dim() >= 1, "[gelu] expected x [..., F], got a scalar");
  if (has_cpu_kernels(x)) return on_cpu("gelu", {x}, form);
  if (has_cuda_kernels(x)) return glu_cuda("gelu", activation_of(form), x);
  return gelu_ref(x, form);
}

Tensor geglu(const Tensor& gate_TF, const Tensor& up_TF, GeluForm form) {
  check(gate_TF.dim() >= 1 && gate_TF.sizes() == up_TF.sizes() && gate_TF.scalar_type() == up_TF.scalar_type(),
        "[geglu] expected gate and up of one shape and dtype, got ", gate_TF.sizes(), " and ", up_TF.sizes());
  if (has_cpu_kernels(gate_TF)) return on_cpu("geglu", {gate_TF, up_TF}, form);
  if (has_cuda_kernels(gate_TF)) return glu_cuda("geglu", activation_of(form), gate_TF, up_TF);
  return geglu_ref(gate_TF, up_TF, form);
}

Tensor geglu_joint(const Tensor& gu_T2F, GeluForm form) {
  check(gu_T2F.dim() == 2 && gu_T2F.size(1) % 2 == 0, "[geglu_joint] expected gate and up [T, 2F], got ", gu_T2F.sizes());
  if (has_cuda_kernels(gu_T2F)) return glu_joint_cuda("geglu_joint", activation_of(form), gu_T2F);
  const int64_t F = gu_T2F.size(1) / 2;
  return geglu(gu_T2F.narrow(1, 0, F), gu_T2F.narrow(1, F, F), form);
}

}  // namespace r1::ops
