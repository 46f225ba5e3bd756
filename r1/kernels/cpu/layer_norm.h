// LayerNorm (Ba, Kiros, Hinton 2016) of rows, with GELU after it if asked for, and its backward.
//
//   forward    xhat = (x - mean) rstd,  rstd = 1 / sqrt(mean((x - mean)^2) + eps),  z = xhat weight + bias,  y = z or gelu(z)
//   backward   dz = dy or dy gelu'(z),  g = dz weight,  dx = rstd (g - mean(g) - xhat mean(g xhat))
//              dweight = sum over rows of dz xhat,  dbias = sum over rows of dz
//
// A row's bits depend on the row only. dweight and dbias sum rows ascending in chains of 256, whatever the thread count. z is never stored:
// the backward finds it again from x. Any storage type per tensor, arithmetic fp32, one rounding at the end (with GELU dz too is rounded,
// to dx's type). y may be x. Threads: OpenMP over rows (dweight, dbias: over columns).
#pragma once

#include "r1/kernels/cpu/gelu.h"
#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

struct LayerNorm {
  ConstRows x;             // [rows, dim]
  ConstRows weight, bias;  // [dim]
  Rows y;
  float *mean = nullptr, *rstd = nullptr;  // [rows] or none; the backward needs them
  int64_t rows, dim;
  float eps;
  bool gelu = false;
  GeluForm form = GeluForm::kTanh;
};
void layer_norm(const LayerNorm& a);

struct LayerNormBackward {
  ConstRows x, weight, bias, dy;
  const float *mean, *rstd;
  Rows dx;                                     // not x; not dy when gelu is set
  float *dweight = nullptr, *dbias = nullptr;  // [dim] or none
  int64_t rows, dim;
  bool gelu = false;
  GeluForm form = GeluForm::kTanh;
};
void layer_norm_backward(const LayerNormBackward& a);

}  // namespace r1::kernels
