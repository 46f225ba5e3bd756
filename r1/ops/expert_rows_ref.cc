
#include "r1/ops/expert_rows.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor gather_rows_ref(const Tensor& x_TD, const ExpertRows& rows) {
  return aten::index_select(x_TD, 0, rows.token_S);
}

Tensor combine_rows_ref(const Tensor& y_SD, const Tensor& gate_TK, const ExpertRows& rows) {
  const Tensor y_TKD = aten::index_select(y_SD, 0, rows.place_TK.flatten()).view({gate_TK.size(0), gate_TK.size(1), y_SD.size(1)});
  return (y_TKD * gate_TK.unsqueeze(-1)).sum(1).to(y_SD.scalar_type());
}

}  // namespace r1::ops
