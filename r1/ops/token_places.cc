#include "r1/ops/token_places.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/kernels/cuda/blocks.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor token_places(const Tensor& table_SM, const Tensor& cu_S1, const Tensor& first_S, int64_t count, int32_t block_size) {
  const auto is_list = [&](const Tensor& t, int64_t size) {
    return t.dim() == 1 && t.size(0) == size && t.scalar_type() == at::kInt && t.is_contiguous() && t.device() == table_SM.device();
  };
  check(table_SM.dim() == 2 && table_SM.scalar_type() == at::kInt && table_SM.is_contiguous() && is_list(cu_S1, table_SM.size(0) + 1) &&
            (!first_S.defined() || is_list(first_S, table_SM.size(0))) && block_size > 0,
        "[token_places] expected int32 tables [S, M], starts [S + 1] and first positions [S] on one device and blocks of at least one "
        "token, got ",
        table_SM.sizes(), ", ", cu_S1.sizes(), " and ", block_size);
  const at::NoGradGuard no_grad;
  if (!table_SM.is_cuda()) return token_places_ref(table_SM, cu_S1, first_S, count, block_size);
  const Tensor places = aten::empty({count}, table_SM.options().dtype(at::kLong));
  kernels::cuda::token_places({.table = table_SM.const_data_ptr<int32_t>(),
                               .table_width = table_SM.size(1),
                               .sequences = table_SM.size(0),
                               .cu = cu_S1.const_data_ptr<int32_t>(),
                               .first = first_S.defined() ? first_S.const_data_ptr<int32_t>() : nullptr,
                               .block_size = block_size,
                               .places = places.mutable_data_ptr<int64_t>(),
                               .count = count},
                              kernel_stream(table_SM.device()));
  return places;
}

}  // namespace r1::ops
