// The grid that integer weights of a group are rounded to: scale and zero point, with or without a search.
//   symmetric   zero point in the middle (8 of 16), the largest magnitude at the end
//   asymmetric  from the least to the largest weight, 0 always among them
// The search shrinks the range in steps of 1/40 down to the half and keeps what has the least weighted square error: outliers then are
// clipped. Scales are rounded to what the file will hold before anything is rounded to them.
#pragma once

#include <cstdint>

#include "r1/tensor/integers.h"

namespace r1::quant {

struct GridOptions {
  int bits = 4;
  bool symmetric = true;
  bool search = true;
  bool half_scales = true;  // float16 in the file, else float32
  int least_zero = 0;       // of asymmetric grids: the least zero point that the file has a form for

  int largest() const { return (1 << bits) - 1; }
};

struct Grid {
  float scale = 1;
  int zero = 0;
};

// Of `n` finite weights. `importance`: null, or what an error in each costs.
Grid fit_grid(const float* weights, int64_t n, const float* importance, const GridOptions& options);

// The code of a weight.
int code_of(float weight, const Grid& grid, int largest);

// Each weight to the nearest point of its group's grid. weight_OI fp32; `group` columns a group, a divisor of I; importance_I fp32 or undefined.
tensor::IntegerMatrix round_to_nearest(const Tensor& weight_OI, int64_t group, const GridOptions& options, const Tensor& importance_I = {});

}  // namespace r1::quant
