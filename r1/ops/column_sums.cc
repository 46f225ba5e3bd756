#include "r1/ops/column_sums.h"

#include "r1/base/error.h"
#include "r1/kernels/cuda/norm.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/ops/cuda_rows.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor column_sums(const Tensor& x_TO) {
  check(x_TO.dim() == 2, "[column_sums] expected x [T, O], got ", x_TO.sizes());
  if (!has_cuda_kernels(x_TO)) return x_TO.sum(0);
  const kernels::cuda::Stream stream = kernel_stream(x_TO.device());
  const Tensor x = with_rows(x_TO), out_O = aten::empty({x.size(1)}, x.options());
  const Tensor partial = aten::empty({kernels::cuda::norm_partials(x.size(0), x.size(1), stream)}, x.options().dtype(at::kFloat));
  kernels::cuda::column_sums({.type = kernel_float(x.scalar_type()),
                              .x = x.const_data_ptr(),
                              .out = out_O.mutable_data_ptr(),
                              .partial = partial.mutable_data_ptr<float>(),
                              .rows = x.size(0),
                              .dim = x.size(1),
                              .x_stride = row_stride(x)},
                             stream);
  return out_O;
}

}  // namespace r1::ops
