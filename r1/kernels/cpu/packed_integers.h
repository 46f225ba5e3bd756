// IntegerLinear (packed_linear.h) for one instruction set: rows of x are rounded, a tile of up to kTileRows at a time, then groups of w run
// over the tiles.
#pragma once

#include "r1/kernels/cpu/packed_products.h"

namespace r1::kernels {

// Rounded rows lie tile by tile; of a tile with R rows first the quants, four columns of each row in turn, then for each stretch the rows'
// scales, then for each stretch the rows' sums of quants. Quants have 16 bits where 8 bit codes are multiplied without the 8 bit dot product.
inline constexpr int64_t integer_quant_bytes(const IntegerRows& w, bool vnni) {
  return w.bits == 8 && !vnni ? 2 : 1;
}
inline constexpr int64_t integer_row_bytes(const IntegerRows& w, bool vnni) {
  return w.padded * integer_quant_bytes(w, vnni) + w.padded / w.stretch() * 8;
}

// `row_room`: `padded` floats for this thread.
template <Isa, bool kVnni>
void round_tile_simd(const IntegerLinear& a, int64_t row, int64_t rows, float* row_room, uint8_t* tile);
template <Isa, bool kVnni>
void integer_linear_simd(const IntegerLinear& a, const uint8_t* tiles, int64_t begin, int64_t end);

}  // namespace r1::kernels
