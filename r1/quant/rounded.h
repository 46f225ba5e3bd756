// Values as they are after rounding, without the codes: what a search tries many times, and what training computes with. In place, fp32 or
// bf16 (then computed in fp32 and rounded once), on any device; NaN stays NaN.
#pragma once

#include "r1/quant/grid.h"

namespace r1::quant {

// dense(round_to_nearest(weight, group, options without the search)), to the bit; groups are stretches of `group` numbers in memory.
void round_to_grid(const Tensor& weight, int64_t group, const GridOptions& options);

// Of a matrix: to and from float8_e4m3 blocks (tensor/fp8_block).
void round_to_fp8_blocks(const Tensor& weight_OI);

}  // namespace r1::quant
