#include "r1/ops/glu_cuda.h"

#include <ATen/core/grad_mode.h>

#include "r1/ops/autograd.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/ops/cuda_rows.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

using kernels::ConstRows;
using kernels::Rows;

// [rows, columns] of a matrix; as one long row where everything is dense and nothing is side by side.
struct Extent {
  int64_t rows, columns;
};

ConstRows part(ConstRows rows, int64_t first_column) {
  rows.data = static_cast<const char*>(rows.data) + first_column * kernels::size_of(rows.type);
  return rows;
}
Rows part(Rows rows, int64_t first_column) {
  rows.data = static_cast<char*>(rows.data) + first_column * kernels::size_of(rows.type);
  return rows;
}
Rows dense_rows(const Tensor& t, int64_t stride) {
  return {.data = t.mutable_data_ptr(), .type = kernel_float(t.scalar_type()), .row_stride = stride};
}

Extent extent_of(const Tensor& gate, const Tensor& up) {
  if (gate.is_contiguous() && (!up.defined() || up.is_contiguous())) return {1, gate.numel()};
  return {row_count(gate), gate.size(-1)};
}
ConstRows rows_in(const Tensor& t, const Extent& extent) {
  ConstRows rows = strided_rows(t);
  if (extent.rows == 1) rows.row_stride = extent.columns;
  return rows;
}

Tensor forward(Activation activation, const Tensor& gate, const Tensor& up) {
  const Tensor y = aten::empty(gate.sizes(), gate.options());
  const Extent e = extent_of(gate, up);
  kernels::cuda::glu({.activation = activation,
                      .gate = rows_in(gate, e),
                      .up = up.defined() ? rows_in(up, e) : ConstRows{},
                      .y = dense_rows(y, e.columns),
                      .rows = e.rows,
                      .dim = e.columns},
                     kernel_stream(gate.device()));
  return y;
}

// saved: gate and, where it is gated, up
Tensors backward(Activation activation, const Tensor& dy, const Tensors& saved) {
  const Tensor &gate = saved[0], up = saved.size() > 1 ? saved[1] : Tensor(), dy_dense = dy.contiguous();
  const Tensor dgate = aten::empty(gate.sizes(), gate.options()), dup = up.defined() ? aten::empty(gate.sizes(), gate.options()) : Tensor();
  const Extent e = extent_of(gate, up);
  kernels::cuda::glu_backward({.activation = activation,
                               .gate = rows_in(gate, e),
                               .up = up.defined() ? rows_in(up, e) : ConstRows{},
                               .dy = rows_in(dy_dense, e),
                               .dgate = dense_rows(dgate, e.columns),
                               .dup = up.defined() ? dense_rows(dup, e.columns) : Rows{},
                               .rows = e.rows,
                               .dim = e.columns},
                              kernel_stream(gate.device()));
  return up.defined() ? Tensors{dgate, dup} : Tensors{dgate};
}

Tensor backward_joint(Activation activation, const Tensor& dy, const Tensor& gu) {
  const Tensor dy_TF = dy.contiguous(), dgu_T2F = aten::empty(gu.sizes(), gu.options());
  const int64_t F = gu.size(1) / 2;
  const ConstRows both = strided_rows(gu);
  const Rows gradients = dense_rows(dgu_T2F, 2 * F);
  kernels::cuda::glu_backward({.activation = activation,
                               .gate = both,
                               .up = part(both, F),
                               .dy = strided_rows(dy_TF),
                               .dgate = gradients,
                               .dup = part(gradients, F),
                               .rows = gu.size(0),
                               .dim = F},
                              kernel_stream(gu.device()));
  return dgu_T2F;
}

}  // namespace

Tensor glu_cuda(const char* name, Activation activation, const Tensor& gate_TF, const Tensor& up_TF) {
  const Tensors inputs = up_TF.defined() ? Tensors{gate_TF, up_TF} : Tensors{gate_TF};
  Tensors rows;
  Tensor y;
  {
    const at::NoGradGuard no_grad;
    for (const Tensor& t : inputs) rows.push_back(with_rows(t));
    y = gate_TF.numel() == 0 ? aten::empty(gate_TF.sizes(), gate_TF.options())
                             : forward(activation, rows[0], rows.size() > 1 ? rows[1] : Tensor());
  }
  if (!needs_grad(inputs)) return y;
  return differentiable(name, y, inputs, rows, [activation](const Tensor& dy, const Tensors& saved, const Wanted&) {
    if (dy.numel() > 0) return backward(activation, dy, saved);
    Tensors none;
    for (const Tensor& t : saved) none.push_back(aten::zeros_like(t));
    return none;
  });
}

Tensor glu_joint_cuda(const char* name, Activation activation, const Tensor& gu_T2F) {
  const int64_t F = gu_T2F.size(1) / 2;
  Tensor gu, y_TF;
  {
    const at::NoGradGuard no_grad;
    gu = with_rows(gu_T2F), y_TF = aten::empty({gu.size(0), F}, gu.options());
    const ConstRows both = strided_rows(gu);
    kernels::cuda::glu(
        {.activation = activation, .gate = both, .up = part(both, F), .y = dense_rows(y_TF, F), .rows = gu.size(0), .dim = F},
        kernel_stream(gu.device()));
  }
  if (!needs_grad({gu_T2F})) return y_TF;
  return differentiable(name, y_TF, {gu_T2F}, {gu}, [activation](const Tensor& dy, const Tensors& saved, const Wanted&) {
    return Tensors{backward_joint(activation, dy, saved[0])};
  });
}

}  // namespace r1::ops
