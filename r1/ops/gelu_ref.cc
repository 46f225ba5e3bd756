#include "r1/ops/gelu.h"
#include "r1/tensor/aten.h"

#include <cmath>

namespace r1::ops {

namespace {

Tensor wide_gelu(const Tensor& x, GeluForm form) {
  if (form == GeluForm::kExact) return x * 0.5 * (aten::erf(x * M_SQRT1_2) + 1);
  return x * 0.5 * (aten::tanh((x + x * x * x * 0.044715) * std::sqrt(2 / M_PI)) + 1);
}

at::ScalarType wide_type(const Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace

Tensor gelu_ref(const Tensor& x, GeluForm form) {
  return wide_gelu(x.to(wide_type(x)), form).to(x.scalar_type());
}

Tensor geglu_ref(const Tensor& gate_TF, const Tensor& up_TF, GeluForm form) {
  const auto wide = wide_type(gate_TF);
  return (wide_gelu(gate_TF.to(wide), form) * up_TF.to(wide)).to(gate_TF.scalar_type());
}

Tensor geglu_joint_ref(const Tensor& gu_T2F, GeluForm form) {
  const int64_t F = gu_T2F.size(1) / 2;
  return geglu_ref(gu_T2F.narrow(1, 0, F), gu_T2F.narrow(1, F, F), form);
}

}  // namespace r1::ops
