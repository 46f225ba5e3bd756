#include "r1/ops/linear_cpu.h"

#include "r1/kernels/cpu/gemm_bf16.h"
#include "r1/kernels/cpu/gemm_f32.h"

namespace r1::ops {

void linear_into(const Tensor& y_TO, const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O) {
  const int64_t tokens = x_TI.size(0), in = x_TI.size(1), out = weight_OI.size(0);
  if (x_TI.scalar_type() == at::kFloat) {
    return kernels::linear_forward({.x = x_TI.const_data_ptr<float>(),
                                    .w = weight_OI.const_data_ptr<float>(),
                                    .bias = bias_O.defined() ? bias_O.const_data_ptr<float>() : nullptr,
                                    .y = y_TO.mutable_data_ptr<float>(),
                                    .rows = tokens,
                                    .in = in,
                                    .out = out});
  }
  kernels::linear_forward_bf16({.x = static_cast<const uint16_t*>(x_TI.const_data_ptr()),
                                .w = static_cast<const uint16_t*>(weight_OI.const_data_ptr()),
                                .bias = bias_O.defined() ? const_rows(bias_O) : kernels::ConstRows{},
                                .y = rows(y_TO),
                                .rows = tokens,
                                .in = in,
                                .out = out});
}

void linear_grad_x_into(const Tensor& dx_TI, const Tensor& dy_TO, const Tensor& weight_OI) {
  kernels::linear_grad_x_mixed({.dy = const_rows(dy_TO),
                                .w = const_rows(weight_OI),
                                .dx = rows(dx_TI),
                                .rows = dy_TO.size(0),
                                .in = weight_OI.size(1),
                                .out = weight_OI.size(0)});
}

void linear_grad_w_into(const Tensor& dw_OI, const Tensor& dy_TO, const Tensor& x_TI, bool add) {
  kernels::linear_grad_w_mixed({.dy = const_rows(dy_TO),
                                .x = const_rows(x_TI),
                                .dw = rows(dw_OI),
                                .rows = dy_TO.size(0),
                                .in = x_TI.size(1),
                                .out = dy_TO.size(1),
                                .accumulate = add});
}

}  // namespace r1::ops
