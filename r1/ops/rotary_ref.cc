#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include "r1/ops/rotary.h"

namespace r1::ops {

Tensor rotary_ref(const Tensor& x_TNH, const RotaryTable& table, const Tensor& positions_T) {
  const int64_t half = x_TNH.size(2) / 2;
  const auto wide = x_TNH.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const Tensor cos = table.cos_PH.index_select(0, positions_T).unsqueeze(1).to(wide),
               sin = table.sin_PH.index_select(0, positions_T).unsqueeze(1).to(wide);
  const Tensor a = x_TNH.narrow(2, 0, half).to(wide), b = x_TNH.narrow(2, half, half).to(wide);
  return at::cat({a * cos - b * sin, b * cos + a * sin}, 2).to(x_TNH.scalar_type());
}

}  // namespace r1::ops
