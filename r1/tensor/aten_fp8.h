// ATen's operators on 8 bit floats, beside r1/tensor/aten.h (its rules hold here): few files need them.
#pragma once

#include "r1/tensor/aten.h"

namespace r1::aten {

// a [M, K] by rows, b [K, N] by columns, both of 8 bit floats; scales fp32, of whole tensors, on the device. out = a b scale_a scale_b (+
// bias).
Tensor _scaled_mm(const Tensor& a, const Tensor& b, const Tensor& scale_a, const Tensor& scale_b, const MaybeTensor& bias,
                  ScalarType out_dtype, bool use_fast_accum);

}  // namespace r1::aten
