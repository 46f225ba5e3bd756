
#include "r1/ops/swiglu.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor swiglu_ref(const Tensor& gate_TF, const Tensor& up_TF) {
  const auto wide = gate_TF.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const Tensor gate = gate_TF.to(wide);
  return (gate * aten::sigmoid(gate) * up_TF.to(wide)).to(gate_TF.scalar_type());
}

Tensor swiglu_joint_ref(const Tensor& gu_T2F) {
  const int64_t F = gu_T2F.size(1) / 2;
  return swiglu_ref(gu_T2F.narrow(1, 0, F), gu_T2F.narrow(1, F, F));
}

}  // namespace r1::ops
