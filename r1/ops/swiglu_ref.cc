
#include "r1/ops/swiglu.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor swiglu_ref(const Tensor& gate_TF, const Tensor& up_TF) {
  const auto wide = gate_TF.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const Tensor gate = gate_TF.to(wide);
  return (gate * aten::sigmoid(gate) * up_TF.to(wide)).to(gate_TF.scalar_type());
}

}  // namespace r1::ops
