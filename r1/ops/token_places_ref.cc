#include "r1/ops/token_places.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor token_places_ref(const Tensor& table_SM, const Tensor& cu_S1, const Tensor& first_S, int64_t count, int32_t block_size) {
  const Tensor token = aten::arange(count, cu_S1.options());
  // As many sequences end at or before a token as come before its own.
  const Tensor sequence = aten::searchsorted(cu_S1.narrow(0, 1, cu_S1.size(0) - 1), token, /*out_int32=*/false, /*right=*/true);
  Tensor position = (token - cu_S1.index_select(0, sequence)).to(at::kLong);
  if (first_S.defined()) position = position + first_S.index_select(0, sequence);
  const Tensor block = table_SM.flatten().index_select(0, sequence * table_SM.size(1) + aten::floor_divide(position, block_size));
  return block.to(at::kLong) * int64_t(block_size) + aten::remainder(position, block_size);
}

}  // namespace r1::ops
