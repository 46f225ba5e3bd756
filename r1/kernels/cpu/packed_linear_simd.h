// packed_linear for one instruction set: rows of x are quantized, a tile of up to kTileRows at a time, then groups of w run over the tiles.
#pragma once

#include "r1/kernels/cpu/isa.h"
#include "r1/kernels/cpu/packed_products.h"

namespace r1::kernels {

// Quantized rows lie tile by tile; of a tile with R rows first the quants, four columns of each row in turn, then the blocks' scales and a
// word for each stretch of a sum (kernels' own business), both row after row. Whole tiles have this size in bytes a row:
inline constexpr int64_t quantized_row_bytes(BlockForm form, int64_t in) {
  const int64_t blocks = in / kBlockFields[int(form)].elements;
  return in + blocks * 4 + blocks * 4 * (form == BlockForm::kQ6_K ? 8 : kBlockFields[int(form)].elements == 256 ? 4 : 1);
}

// kVnni: with the instruction for 8 bit dot products.
template <Isa, bool kVnni>
void quantize_tile_simd(const PackedLinear& a, int64_t row, int64_t rows, uint8_t* tile);
// The groups [begin, end) of w against all tiles.
template <Isa, bool kVnni>
void packed_linear_simd(const PackedLinear& a, const uint8_t* tiles, int64_t begin, int64_t end);
// Its part for blocks of 256 columns.
template <Isa, bool kVnni>
void packed_super_simd(const PackedLinear& a, const uint8_t* tiles, int64_t begin, int64_t end);

}  // namespace r1::kernels
