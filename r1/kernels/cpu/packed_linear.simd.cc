#include "r1/kernels/cpu/packed_linear_tiles.h"

namespace r1::kernels {
namespace {

inline void quantize_row(const PackedLinear& a, int64_t row, int64_t r, int64_t rows, uint8_t* tile) {
  const int64_t elements = fields_of(a.form).elements, blocks = a.in / elements;
  float* scales = (float*)(tile + rows * a.in);
  int32_t* words = (int32_t*)(scales + rows * blocks);
  for (int64_t b = 0; b < blocks; ++b) {
    alignas(32) int8_t quants[256];
    scales[b * rows + r] = quantize_block(a.x, row, b * elements, elements, quants);
    uint8_t* to = tile + b * elements * rows + 4 * r;
    for (int64_t k = 0; k < elements; k += 4, to += 4 * rows) __builtin_memcpy(to, quants + k, 4);
    if (elements == 32) {
      // Q4_1, Q5_1: the sum; else with what is taken off each quant.
      words[b * rows + r] = (sum_of_16(quants) + sum_of_16(quants + 16)) * (1 << zero_shift(a.form));
      continue;
    }
    const int64_t stretch = a.form == BlockForm::kQ6_K ? 16 : 32, pairs = 256 / stretch / 2;
    for (int64_t p = 0; p < pairs; ++p) {
      uint32_t halves[2];
      for (int64_t h = 0; h < 2; ++h) {
        const int8_t* q = quants + (2 * p + h) * stretch;
        halves[h] = uint16_t(sum_of_16(q) + (stretch == 32 ? sum_of_16(q + 16) : 0));
      }
      words[(b * pairs + p) * rows + r] = int32_t(halves[0] | halves[1] << 16);
    }
  }
}

}  // namespace

template <>
void quantize_tile_simd<kIsa, kVnni>(const PackedLinear& a, int64_t row, int64_t rows, uint8_t* tile) {
  for (int64_t r = 0; r < rows; ++r) quantize_row(a, row + r, r, rows, tile);
}

template <>
void packed_linear_simd<kIsa, kVnni>(const PackedLinear& a, const uint8_t* tiles, int64_t begin, int64_t end) {
  switch (a.form) {
    case BlockForm::kQ4_0:
      return run_groups<BlockForm::kQ4_0>(a, tiles, begin, end);
    case BlockForm::kQ4_1:
      return run_groups<BlockForm::kQ4_1>(a, tiles, begin, end);
    case BlockForm::kQ5_0:
      return run_groups<BlockForm::kQ5_0>(a, tiles, begin, end);
    case BlockForm::kQ5_1:
      return run_groups<BlockForm::kQ5_1>(a, tiles, begin, end);
    case BlockForm::kQ8_0:
      return run_groups<BlockForm::kQ8_0>(a, tiles, begin, end);
    default:
      return packed_super_simd<kIsa, kVnni>(a, tiles, begin, end);
  }
}

}  // namespace r1::kernels
