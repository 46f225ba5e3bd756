#include "r1/tensor/fp8_block.h"

#include <ATen/Parallel.h>
#include <c10/util/Float8_e4m3fn.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"

namespace r1::tensor {

namespace {

using E4m3 = c10::Float8_e4m3fn;

constexpr float kLargest = 448;  // of e4m3fn

int64_t blocks_of(int64_t n) {
  return (n + kFp8Block - 1) / kFp8Block;
}

// Calls visit(first row, end row, first column, end column, number) of each block; rows of blocks in parallel.
template <class Visit>
void for_blocks(int64_t rows, int64_t columns, const Visit& visit) {
  const int64_t across = blocks_of(columns);
  at::parallel_for(0, blocks_of(rows), 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t c = 0; c < across; ++c)
        visit(r * kFp8Block, std::min((r + 1) * kFp8Block, rows), c * kFp8Block, std::min((c + 1) * kFp8Block, columns), r * across + c);
  });
}

std::array<float, 256> decoded() {
  std::array<float, 256> table;
  for (int i = 0; i < 256; ++i) table[size_t(i)] = float(E4m3(uint8_t(i), E4m3::from_bits()));
  return table;
}

}  // namespace

std::vector<int64_t> fp8_scale_shape(int64_t rows, int64_t columns) {
  return {blocks_of(rows), blocks_of(columns)};
}

Fp8Blocks to_fp8_blocks(const Tensor& weight_OI) {
  check(weight_OI.dim() == 2, "[fp8_block] expected a weight [O, I], got ", weight_OI.sizes());
  const Tensor weight = weight_OI.detach().to(at::kCPU, at::kFloat).contiguous();
  check(weight.isfinite().all().item<bool>(), "[fp8_block] expected finite weights, got NaN or infinity: they have no 8 bit form");
  const int64_t rows = weight.size(0), columns = weight.size(1);
  Fp8Blocks out{aten::empty({rows, columns}, at::kFloat8_e4m3fn), aten::empty(fp8_scale_shape(rows, columns), at::kFloat)};
  const float* from = weight.const_data_ptr<float>();
  E4m3* to = out.values_OI.mutable_data_ptr<E4m3>();
  float* scales = out.scale_inv_RC.mutable_data_ptr<float>();
  for_blocks(rows, columns, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1, int64_t number) {
    float largest = 0;
    for (int64_t r = r0; r < r1; ++r)
      for (int64_t c = c0; c < c1; ++c) largest = std::max(largest, std::fabs(from[r * columns + c]));
    const float scale = largest > 0 ? largest / kLargest : 1;
    scales[number] = scale;
    for (int64_t r = r0; r < r1; ++r)
      for (int64_t c = c0; c < c1; ++c) to[r * columns + c] = E4m3(std::clamp(from[r * columns + c] / scale, -kLargest, kLargest));
  });
  return out;
}

void from_fp8_blocks(const Fp8Blocks& blocks, const Tensor& out_OI) {
  const Tensor &values = blocks.values_OI, &scale_inv = blocks.scale_inv_RC;
  check(values.dim() == 2 && values.scalar_type() == at::kFloat8_e4m3fn && values.is_cpu() && values.is_contiguous(),
        "[fp8_block] expected float8_e4m3fn values [O, I] on the CPU, got ", values.scalar_type(), " ", values.sizes());
  const int64_t rows = values.size(0), columns = values.size(1);
  check(scale_inv.scalar_type() == at::kFloat && scale_inv.is_contiguous() &&
            scale_inv.sizes() == at::IntArrayRef(fp8_scale_shape(rows, columns)),
        "[fp8_block] expected fp32 scales ", at::IntArrayRef(fp8_scale_shape(rows, columns)), ", got ", scale_inv.scalar_type(), " ",
        scale_inv.sizes());
  check(out_OI.sizes() == values.sizes(), "[fp8_block] expected an output ", values.sizes(), ", got ", out_OI.sizes());
  const bool in_place = out_OI.is_cpu() && out_OI.scalar_type() == at::kFloat && out_OI.is_contiguous();
  const Tensor wide = in_place ? out_OI : aten::empty({rows, columns}, at::kFloat);
  const std::array<float, 256> value = decoded();
  const auto* from = static_cast<const uint8_t*>(values.const_data_ptr());
  const float* scales = scale_inv.const_data_ptr<float>();
  float* to = wide.mutable_data_ptr<float>();
  for_blocks(rows, columns, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1, int64_t number) {
    const float scale = scales[number];
    for (int64_t r = r0; r < r1; ++r)
      for (int64_t c = c0; c < c1; ++c) to[r * columns + c] = value[from[r * columns + c]] * scale;
  });
  if (!in_place) out_OI.copy_(wide);
}

}  // namespace r1::tensor
