
#include "r1/ops/rotary.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor rotary_ref(const Tensor& x_TNH, const RotaryTable& table, const Tensor& positions) {
  const int64_t half = x_TNH.size(2) / 2;
  const auto wide = x_TNH.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  // [T, 1, H/2]: pair by pair, from the row of its own component of the position.
  const auto rows_of = [&](const Tensor& table_PH) {
    if (positions.dim() == 1) return table_PH.index_select(0, positions).unsqueeze(1).to(wide);
    std::vector<Tensor> pairs;
    for (int64_t i = 0; i < half; ++i)
      pairs.push_back(table_PH.select(1, i).index_select(0, positions.select(1, table.component_of_pair[size_t(i)])));
    return aten::stack(pairs, 1).unsqueeze(1).to(wide);
  };
  const Tensor cos = rows_of(table.cos_PH), sin = rows_of(table.sin_PH);
  const Tensor x = x_TNH.to(wide);
  if (table.interleaved) {
    const Tensor pairs_TNI2 = x.reshape({x.size(0), x.size(1), half, 2}), a = pairs_TNI2.select(3, 0), b = pairs_TNI2.select(3, 1);
    return aten::stack({a * cos - b * sin, b * cos + a * sin}, 3).flatten(2).to(x_TNH.scalar_type());
  }
  const Tensor a = x.narrow(2, 0, half), b = x.narrow(2, half, half);
  return aten::cat({a * cos - b * sin, b * cos + a * sin}, 2).to(x_TNH.scalar_type());
}

}  // namespace r1::ops
