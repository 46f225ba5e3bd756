#include "r1/ops/linear_fp8.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor rounded_to_fp8_ref(const Tensor& x, at::ScalarType type) {
  const double largest = type == at::kFloat8_e4m3fn ? 448 : 57344;
  const Tensor most = x.to(at::kFloat).abs().max(), scale = aten::where(most > 0, most / largest, aten::ones_like(most));
  return ((x.to(at::kFloat) / scale).clamp(-largest, largest).to(type).to(at::kFloat) * scale).to(x.scalar_type());
}

Tensor linear_fp8_ref(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O) {
  const auto rounded = [](const Tensor& t) { return rounded_to_fp8_ref(t.to(at::kFloat), at::kFloat8_e4m3fn); };
  const Tensor y_TO = aten::matmul(rounded(x_TI), rounded(weight_OI).t());
  return bias_O.defined() ? y_TO + bias_O.to(at::kFloat) : y_TO;
}

}  // namespace r1::ops
