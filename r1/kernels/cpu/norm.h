// RMSNorm (Zhang, Sennrich 2019) of rows, with an optional residual added first, and its backward.
//
//   forward    s = x + residual (if given; stored to `sum`, and the norm is of the stored value)
//              rstd = 1 / sqrt(mean(s^2) + eps),  y = (s rstd) (weight + offset)
//   backward   g = dy (weight + offset),  dx = rstd (g - s rstd^2 mean(g s)) (+ dsum),  dweight (+)= sum over rows of dy s rstd
//
// A row's bits depend on the row only. dweight sums rows ascending in chains of 256, whatever the thread count. Any storage type per
// tensor, arithmetic fp32, one rounding at the end. y may be x; sum may be x or residual; dx may be dy or dsum. Threads: OpenMP over rows
// (dweight: over columns).
#pragma once

#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

struct RmsNorm {
  ConstRows x, residual = {};  // [rows, dim]; residual.data may be null
  ConstRows weight;            // [dim]; null: all ones
  Rows y, sum = {};            // sum.data may be null when there is no residual
  float* rstd = nullptr;       // [rows] or none; the backward needs it
  int64_t rows, dim;
  float eps;
  float offset = 0;  // 1: the weight is a distance from 1 (Gemma)
};
void rms_norm(const RmsNorm& a);

struct RmsNormBackward {
  ConstRows x;  // what was normalised: x, or `sum` of the forward
  ConstRows weight, dy;
  const float* rstd;
  ConstRows dsum = {};  // the gradient that reaches s by the residual road, added to dx; may be null
  Rows dx;
  float* dweight = nullptr;  // [dim] or none
  bool accumulate = false;   // dweight += instead of =
  int64_t rows, dim;
  float offset = 0;
};
void rms_norm_backward(const RmsNormBackward& a);

}  // namespace r1::kernels
