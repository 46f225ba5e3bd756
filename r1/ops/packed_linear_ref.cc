#include <algorithm>
#include <cmath>

#include "r1/ops/packed_linear.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

constexpr double kLeastAmax = 0x1p-100;
constexpr int64_t kChain = 256;

struct Quantized {
  Tensor quants_TBE;  // whole numbers in fp64
  Tensor scale_TB;    // fp32
};

Quantized quantize_blocks(const Tensor& x_TBE) {
  const Tensor amax_TB = x_TBE.abs().amax({2}), fine_TB = amax_TB.lt(INFINITY), counts_TB = fine_TB.logical_and(amax_TB.ge(kLeastAmax));
  const Tensor safe_TB = amax_TB.masked_fill(counts_TB.logical_not(), 1);
  const Tensor inverse_TB = aten::full({}, 127, at::kFloat) / safe_TB;
  const Tensor rounded = (x_TBE * inverse_TB.unsqueeze(2)).round().masked_fill(counts_TB.logical_not().unsqueeze(2), 0);
  const Tensor scale_TB = (safe_TB / 127).masked_fill(counts_TB.logical_not(), 0).masked_fill(fine_TB.logical_not(), NAN);
  return {rounded.to(at::kDouble), scale_TB};
}

// With one scale a row, its own or the given one.
Quantized quantize_rows(const Tensor& x_TBE, const tensor::BlockCodes& w) {
  const Tensor amax_T = x_TBE.abs().amax({1, 2}), fine_T = amax_T.lt(INFINITY);
  Tensor scale_T = aten::full({x_TBE.size(0)}, w.input_scale, at::kFloat);
  if (w.rounding == InputRounding::kRow) scale_T = (amax_T / 127.5).clamp_min(1e-12);
  const Tensor rounded = (x_TBE / scale_T.view({-1, 1, 1})).round().clamp(-128, 127);
  return {rounded.masked_fill(fine_T.logical_not().view({-1, 1, 1}), 0).to(at::kDouble),
          scale_T.masked_fill(fine_T.logical_not(), NAN).unsqueeze(1).expand({x_TBE.size(0), x_TBE.size(1)}).contiguous()};
}

Quantized quantize(const Tensor& x_TI, const tensor::BlockCodes& w) {
  Tensor x = x_TI.to(at::kFloat);
  if (w.order_I.defined()) x = x.index_select(1, w.order_I);
  const int64_t tokens = x.size(0), stored = w.code_OI.size(1);
  if (stored > x.size(1)) x = aten::cat({x, aten::zeros({tokens, stored - x.size(1)}, at::kFloat)}, 1);
  const Tensor x_TBE = x.reshape({tokens, stored / w.elements, w.elements});
  return w.rounding == InputRounding::kBlock ? quantize_blocks(x_TBE) : quantize_rows(x_TBE, w);
}

// [T, O, B]: exact sums over the blocks, then fp32.
Tensor block_sums(const Quantized& x, const Tensor& code_OI) {
  const int64_t blocks = x.quants_TBE.size(1), elements = x.quants_TBE.size(2);
  const Tensor code_OBE = code_OI.to(at::kDouble).view({code_OI.size(0), blocks, elements});
  return aten::matmul(x.quants_TBE.transpose(0, 1), code_OBE.permute({1, 2, 0})).permute({1, 2, 0}).to(at::kFloat).contiguous();
}

Tensor product_of_codes(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count) {
  const tensor::BlockCodes codes = weight.codes(first, count);
  const Quantized x = quantize(x_TI, codes);
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
  return y_TO;
}

// gemm_f32's sum of the unpacked weights: chains over 256 columns, added in order.
Tensor product_of_floats(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count) {
  const int64_t in = weight.columns(), tokens = x_TI.size(0);
  const Tensor x = x_TI.to(at::kFloat).contiguous(), w = aten::empty({count, in}, at::kFloat),
               y_TO = aten::empty({tokens, count}, at::kFloat);
  weight.unpack(first, count, w);
  const auto x_at = x.accessor<float, 2>(), w_at = w.accessor<float, 2>();
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t o = 0; o < count; ++o) {
      float sum = 0;
      for (int64_t k = 0; k < in; k += kChain) {
        float acc = 0;
        for (int64_t i = k; i < std::min(in, k + kChain); ++i) acc = std::fma(x_at[t][i], w_at[o][i], acc);
        sum = k == 0 ? acc : sum + acc;
      }
      y_TO.mutable_data_ptr<float>()[t * count + o] = sum;
    }
  return y_TO;
}

}  // namespace

Tensor packed_linear_ref(const Tensor& x_TI, const tensor::PackedMatrix& weight, int64_t first, int64_t count, const Tensor& bias_O) {
  const Tensor y_TO = weight.floats(0) ? product_of_floats(x_TI, weight, first, count) : product_of_codes(x_TI, weight, first, count);
  return bias_O.defined() ? y_TO + bias_O.to(at::kFloat) : y_TO;
}

}  // namespace r1::ops
