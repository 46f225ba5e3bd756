// A linear map whose three products (y, dx and dweight) are of 8 bit floats: x and weight as e4m3, dy as e5m2 (Micikevicius et al., "FP8
// Formats for Deep Learning", 2022). Each tensor has one scale, its largest absolute value over the format's, taken anew each time and
// never seen by the host. Products are summed in fp32; y, dx and dweight are bf16. What is kept for the backward pass is in 8 bits as well.
//   x [T, I], weight [O, I], bias [O] or undefined, bf16 on CUDA
#pragma once

#include "r1/tensor/tensor.h"

namespace r1::ops {

// Whether the product can be made: bf16 on CUDA, T, I and O multiples of 16. Devices below compute capability 8.9 have none: ATen says so.
bool takes_fp8(const Tensor& x_TI, const Tensor& weight_OI);

Tensor linear_fp8(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O = {});
// fp32: the product of what x and weight are in 8 bits. Forward only.
Tensor linear_fp8_ref(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O = {});
// x as it is in 8 bits (type: at::kFloat8_e4m3fn or kFloat8_e5m2), in x's dtype.
Tensor rounded_to_fp8_ref(const Tensor& x, at::ScalarType type);

// The two halves without a graph, for ops that have several weights in one (linear_joint). All are by columns as the backward wants them.
struct Fp8Operands {
  Tensor x_IT, weight_IO;  // 8 bits
  Tensor x_scale, weight_scale;
};
Tensor linear_fp8_forward(const Tensor& x_TI, const Tensor& weight_OI, const Tensor& bias_O, Fp8Operands* kept);
struct Fp8Gradients {
  Tensor dx_TI, dweight_OI;
};
Fp8Gradients linear_fp8_backward(const Tensor& dy_TO, const Fp8Operands& kept, bool want_dx, bool want_dweight);

}  // namespace r1::ops
