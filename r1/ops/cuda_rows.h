// Tensors seen as rows by the kernels of kernels/cuda. For files of this folder.
#pragma once

#include "r1/ops/cpu_kernels.h"

namespace r1::ops {

// x itself where its last axis is dense and its rows are evenly apart, else a dense copy.
inline Tensor with_rows(const Tensor& x) {
  return x.dim() == 2 && x.stride(1) == 1 && x.stride(0) >= x.size(1) ? x : x.contiguous();
}
// Elements from row to row of what with_rows gave.
inline int64_t row_stride(const Tensor& x) {
  return x.dim() == 2 && x.size(0) > 1 ? x.stride(0) : x.size(-1);
}
inline int64_t row_count(const Tensor& x) {
  return x.numel() / x.size(-1);
}
inline kernels::ConstRows strided_rows(const Tensor& x) {
  return {.data = x.const_data_ptr(), .type = kernel_float(x.scalar_type()), .row_stride = row_stride(x)};
}

}  // namespace r1::ops
