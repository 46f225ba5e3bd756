#include <cmath>

#include "r1/ops/packed_linear.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

constexpr double kLeastAmax = 0x1p-100;

struct Quantized {
  Tensor quants_TBE;  // whole numbers in fp64
  Tensor scale_TB;    // fp32
};

Quantized quantize(const Tensor& x_TI, int64_t elements) {
  const Tensor x_TBE = x_TI.to(at::kFloat).reshape({x_TI.size(0), x_TI.size(1) / elements, elements});
  const Tensor amax_TB = x_TBE.abs().amax({2}), fine_TB = amax_TB.lt(INFINITY), counts_TB = fine_TB.logical_and(amax_TB.ge(kLeastAmax));
  const Tensor safe_TB = amax_TB.masked_fill(counts_TB.logical_not(), 1);
  const Tensor inverse_TB = aten::full({}, 127, at::kFloat) / safe_TB;
  const Tensor rounded = (x_TBE * inverse_TB.unsqueeze(2)).round().masked_fill(counts_TB.logical_not().unsqueeze(2), 0);
  const Tensor scale_TB = (safe_TB / 127).masked_fill(counts_TB.logical_not(), 0).masked_fill(fine_TB.logical_not(), NAN);
  return {rounded.to(at::kDouble), scale_TB};
}

// [T, O, B]: exact sums over the blocks, then fp32.
Tensor block_sums(const Quantized& x, const Tensor& code_OI) {
  const int64_t blocks = x.quants_TBE.size(1), elements = x.quants_TBE.size(2);
  const Tensor code_OBE = code_OI.to(at::kDouble).view({code_OI.size(0), blocks, elements});
  return aten::matmul(x.quants_TBE.transpose(0, 1), code_OBE.permute({1, 2, 0})).permute({1, 2, 0}).to(at::kFloat).contiguous();
}

}  // namespace

Tensor packed_linear_ref(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count, const Tensor& bias_O) {
  const tensor::BlockCodes codes = weight.codes(first, count);
  const Quantized x = quantize(x_TI, codes.elements);
  const Tensor code_sum_TOB = block_sums(x, codes.code_OI),
               offset_sum_TOB = codes.offset_OB.defined() ? block_sums(x, codes.offset_code_OI) : Tensor();
  const int64_t tokens = x_TI.size(0), blocks = x.scale_TB.size(1);
  const Tensor scale_TB = x.scale_TB.contiguous(), y_TO = aten::empty({tokens, count}, at::kFloat);
  const auto s = scale_TB.accessor<float, 2>(), d = codes.scale_OB.accessor<float, 2>();
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t o = 0; o < count; ++o) {
      float acc = 0;
      for (int64_t b = 0; b < blocks; ++b) {
        const int64_t at = (t * count + o) * blocks + b;
        acc = std::fma(d[o][b] * s[t][b], code_sum_TOB.const_data_ptr<float>()[at], acc);
        if (codes.offset_OB.defined())
          acc = std::fma(codes.offset_OB.accessor<float, 2>()[o][b] * s[t][b], offset_sum_TOB.const_data_ptr<float>()[at], acc);
      }
      y_TO.mutable_data_ptr<float>()[t * count + o] = acc;
    }
  return bias_O.defined() ? y_TO + bias_O.to(at::kFloat) : y_TO;
}

}  // namespace r1::ops
