// A matrix [O, I] in small integers: for each row and group of columns a scale and a zero point,
//   value[o, i] = scale[o, g] * (code[o, i] - zero[o, g]),   g the group of column i,   in fp32, rounded once to the dtype asked for.
// 8 bit weights with a scale for each row are one group of all columns. And how files lay such matrices out:
//   GPTQ  (AutoGPTQ, GPTQModel)  qweight int32 [I * bits / 32, O], a word holds neighbours of a column, the first in the lowest bits; qzeros int32
//         [G, O * bits / 32] likewise along a row, each zero less 1 in the first format ("gptq") and as it is in "gptq_v2"; scales [G, O];
//         g_idx int32 [I], the group of each column
//   AWQ   (AutoAWQ's "gemm")     qweight int32 [I, O / 8], qzeros int32 [G, O / 8]: a word holds outputs 0 2 4 6 1 3 5 7 of eight, from its
//         lowest bits; scales [G, O]; 4 bits only
//   compressed-tensors           int-quantized: weight int8 [O, I], weight_scale [O, 1 or G]; pack-quantized: weight_packed int32 [O, I / 8] with
//         codes from 0 (zero point 8), the first in the lowest bits, weight_scale [O, G], weight_zero_point int32 [O / 8, G], weight_g_idx
#pragma once

#include <memory>
#include <vector>

#include "r1/tensor/packed.h"
#include "r1/tensor/tensor.h"

namespace r1::tensor {

struct IntegerMatrix {
  int bits = 4;       // 4 | 8
  Tensor codes_OI;    // uint8, 0 .. 2^bits - 1
  Tensor scales_OG;   // fp32
  Tensor zeros_OG;    // uint8
  Tensor group_of_I;  // int32 [I], or undefined: columns i * G / I, groups in order and of one size

  int64_t rows() const { return codes_OI.size(0); }
  int64_t columns() const { return codes_OI.size(1); }
  int64_t groups() const { return scales_OG.size(1); }
};

// Fails where shapes do not fit, or a column's group is none; `name` opens the message.
void check_integers(const IntegerMatrix& m, const std::string& name);
// fp32 [O, I].
Tensor dense(const IntegerMatrix& m);

struct GptqTensors {
  Tensor qweight, qzeros, scales, g_idx;  // int32, int32, float of any kind, int32 or undefined
};
// Scales become float16. Fails on a zero point of 0 but in v2: less 1 it is 15 (255), of which readers make 16 (256).
GptqTensors to_gptq(const IntegerMatrix& m, bool v2);
IntegerMatrix from_gptq(const GptqTensors& t, int bits, bool v2);

struct AwqTensors {
  Tensor qweight, qzeros, scales;
};
AwqTensors to_awq(const IntegerMatrix& m);  // scales float16
IntegerMatrix from_awq(const AwqTensors& t);

// int-quantized: symmetric int8, codes + 128 here.
Tensor to_int8(const IntegerMatrix& m);
IntegerMatrix from_int8(const Tensor& weight_OI, const Tensor& scale_OG);
// pack-quantized, 4 or 8 bits. `zero`, `g_idx`: undefined, or as files have them; `columns`: of weight_shape.
IntegerMatrix from_packed_integers(const Tensor& packed, const Tensor& scale_OG, const Tensor& zero, const Tensor& g_idx, int64_t columns,
                                   int bits);

// Stays as small as it is: 4 bit codes two to a byte. `parts`: matrices of one shape, the rows of each below those of the one before (experts).
// `rounding`: what products do to their inputs; with kFixed `input_scales` has a scale for each part. There are products where groups of
// columns are of one size, a multiple of 32, or whole rows.
std::shared_ptr<const PackedMatrix> pack_integers(std::vector<IntegerMatrix> parts, InputRounding rounding = InputRounding::kBlock,
                                                  const std::vector<float>& input_scales = {});
// The group of each column, whatever it is given by.
std::vector<int32_t> groups_of(const IntegerMatrix& m);

// Inputs [T, I] rounded to 8 bits and back (gradients pass as if they were not): with a scale for each row (the largest magnitude / 127.5), or with the given one for all.
Tensor rounded_inputs(const Tensor& x_TI);
Tensor rounded_inputs(const Tensor& x_TI, double scale);

}  // namespace r1::tensor
