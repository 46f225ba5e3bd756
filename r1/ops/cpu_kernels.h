// From tensors to what kernels/cpu takes: the float types it knows, and dense rows. For files of this folder that call kernels.
#pragma once

#include "r1/kernels/cpu/gelu.h"
#include "r1/kernels/cpu/isa.h"
#include "r1/kernels/cpu/rows.h"
#include "r1/ops/gelu.h"
#include "r1/tensor/tensor.h"

namespace r1::ops {

inline bool is_kernel_float(at::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16;
}
inline kernels::Float kernel_float(at::ScalarType type) {
  return type == at::kFloat ? kernels::Float::kF32 : kernels::Float::kBf16;
}
// CPU tensors of fp32 or bf16 go to the kernels; others (fp64 in gradient checks, fp16, CUDA) to ATen.
inline bool has_cpu_kernels(const Tensor& t) {
  return t.is_cpu() && is_kernel_float(t.scalar_type());
}

// The same on a device: kernels/cuda. Others go to ATen.
inline bool has_cuda_kernels(const Tensor& t) {
  return t.is_cuda() && is_kernel_float(t.scalar_type());
}

// Those whose matrix products are the kernels' too. Bf16 where the CPU has an instruction for it is left to ATen, which is faster at many
// rows; without one ATen takes some thirty times as long as for fp32.
inline bool has_cpu_products(const Tensor& t) {
  return has_cpu_kernels(t) && (t.scalar_type() == at::kFloat || !kernels::uses_bf16_dot());
}

inline kernels::GeluForm kernel_form(GeluForm form) {
  return form == GeluForm::kExact ? kernels::GeluForm::kExact : kernels::GeluForm::kTanh;
}

// Contiguous tensors seen as rows.
inline kernels::ConstRows const_rows(const Tensor& t) {
  return {.data = t.const_data_ptr(), .type = kernel_float(t.scalar_type())};
}
inline kernels::Rows rows(const Tensor& t) {
  return {.data = t.mutable_data_ptr(), .type = kernel_float(t.scalar_type())};
}

}  // namespace r1::ops
