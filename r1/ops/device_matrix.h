// y_TO = x_TI . W_OI^T + bias_O with a quantized W that lies packed on a GPU (kernels/cuda/packed_linear: what its products round, their layout).
// x bf16 on that GPU; y bf16, or fp32 where asked for. No gradient.
//
// Codes and scales are those of the file. Scales are fp16 where codes have 4 bits or groups less than 64 columns: of K forms (a scale is an fp16
// number times one of 6 or 8 bits) that rounds them by at most 2^-11 of themselves, or 2^-25; other scales that fp16 does not hold exactly are
// refused, so that the weight is unpacked. From here on w is what is held.
//
// Up to kExactRows rows of x weights are multiplied as they are, beyond that rounded to bf16 once (twice where there is an offset), as unpacked
// ones are. From kUnpackRows rows of x on the weight is unpacked to bf16 before the product, which many rows pay for:
// the product is then cuBLAS's with its own rounding, which ATen lets sum parts in bf16 where y is bf16 (2^-9 of each of a few parts).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "r1/kernels/cuda/packed_linear.h"
#include "r1/tensor/grouped_codes.h"

namespace r1::ops {

// Rows of W are the rows [first, first + rows) of what `codes` and `scales` hold; first is a multiple of 64.
class DeviceMatrix {
 public:
  DeviceMatrix(const kernels::cuda::PackedLayout& layout, Tensor codes, Tensor scales, Tensor order_I, std::string format);

  const kernels::cuda::PackedLayout& layout() const { return layout_; }
  int64_t rows() const { return layout_.rows; }
  int64_t columns() const { return layout_.columns; }
  const std::string& format() const { return format_; }
  at::Device device() const { return codes_.device(); }
  int64_t bytes() const { return int64_t(codes_.nbytes() + scales_.nbytes()); }
  const Tensor& codes() const { return codes_; }    // uint8
  const Tensor& scales() const { return scales_; }  // uint8, fp16 or fp32 within
  const Tensor& order() const { return order_I_; }  // int64 on the device, or undefined (tensor/grouped_codes)

 private:
  kernels::cuda::PackedLayout layout_;
  Tensor codes_, scales_, order_I_;
  std::string format_;
};

// What goes to the device, made on the CPU; parts (experts) lie one below the other. Null where there are no products for it (groups of other
// sizes, columns that are no multiple of 8, scales that fp16 does not hold, a NaN among e4m3 codes).
std::shared_ptr<const DeviceMatrix> pack_for_device(const std::vector<tensor::GroupedCodes>& parts);
std::shared_ptr<const DeviceMatrix> to_device(const DeviceMatrix& matrix, at::Device device);
// Matrices of one form one below the other, and the same matrices as parts of it; null where their forms differ or rows are no whole tiles.
struct JointDeviceMatrix {
  std::shared_ptr<const DeviceMatrix> joint;
  std::vector<std::shared_ptr<const DeviceMatrix>> parts;
};
JointDeviceMatrix join(const std::vector<std::shared_ptr<const DeviceMatrix>>& matrices);

constexpr int64_t kExactRows = kernels::cuda::kFewRows, kUnpackRows = 1024;

bool has_device_linear(const DeviceMatrix& weight, const Tensor& x_TI);
// Rows [first, first + count) are the outputs. `out`: bf16 or fp32.
Tensor device_linear(const Tensor& x_TI, const DeviceMatrix& weight, int64_t first, int64_t count, const Tensor& bias_O = {},
                     at::ScalarType out = at::kBFloat16);
// Rows [first, first + count), or those of `ids_T` (int64, on the device), as bf16 or fp32.
Tensor unpack_rows(const DeviceMatrix& weight, int64_t first, int64_t count, at::ScalarType out);
Tensor unpack_rows(const DeviceMatrix& weight, const Tensor& ids_T, at::ScalarType out);
// The definition: fp32 of all rows, on the CPU, by the layout's own functions.
Tensor unpack_ref(const DeviceMatrix& weight);

}  // namespace r1::ops
