#include "r1/ops/packed_linear.h"

#include "r1/base/error.h"
#include "r1/kernels/cpu/packed_linear.h"
#include "r1/ops/autograd.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

Tensor product(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count, const Tensor& bias_O,
               at::ScalarType type) {
  check(has_packed_linear(weight, x_TI), "[packed_linear] expected x of fp32 or bf16 on the CPU and a matrix in ggml's blocks, got ",
        x_TI.scalar_type(), " on ", x_TI.device(), " and ", weight.format());
  check(x_TI.dim() == 2 && x_TI.size(1) == weight.columns(), "[packed_linear] expected x [T, ", weight.columns(), "], got ", x_TI.sizes());
  check(first >= 0 && count >= 0 && first + count <= weight.rows(), "[packed_linear] expected outputs of ", weight.rows(), ", got [", first,
        ", ", first + count, ")");
  check(!bias_O.defined() || (bias_O.dim() == 1 && bias_O.size(0) == count && is_kernel_float(bias_O.scalar_type())),
        "[packed_linear] expected bias [", count, "], got ", bias_O.sizes());
  check(!needs_grad({x_TI, bias_O}), "[packed_linear] has no gradient: run it under no_grad");
  const Tensor x = x_TI.contiguous(), bias = bias_O.defined() ? bias_O.contiguous() : bias_O;
  const Tensor y_TO = aten::empty({x.size(0), count}, x.options().dtype(type));
  kernels::packed_linear({.x = const_rows(x),
                          .form = weight.interleaved()->form,
                          .w = weight.interleaved()->data,
                          .first = first,
                          .bias = bias.defined() ? const_rows(bias) : kernels::ConstRows{},
                          .y = rows(y_TO),
                          .rows = x.size(0),
                          .in = x.size(1),
                          .out = count});
  return y_TO;
}

}  // namespace

bool has_packed_linear(const tensor::PackedMatrix& weight, const Tensor& x_TI) {
  return weight.interleaved() && has_cpu_kernels(x_TI);
}

Tensor packed_linear(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count, const Tensor& bias_O) {
  return product(x_TI, weight, first, count, bias_O, x_TI.scalar_type());
}

Tensor packed_linear_fp32(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count) {
  return product(x_TI, weight, first, count, {}, at::kFloat);
}

}  // namespace r1::ops
