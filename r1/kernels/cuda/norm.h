// RMSNorm (Zhang, Sennrich 2019) and LayerNorm (Ba, Kiros, Hinton 2016) of rows, with an optional sum before them, and their backward. The
// formulas are those of kernels/cpu/norm.h and layer_norm.h:
//
//   forward    s = x + delta, rounded to its type and stored (s = x where there is no delta)
//              xhat = (s - mean) rstd,  rstd = 1 / sqrt(mean((s - mean)^2) + eps), mean = 0 for RMSNorm
//              y = xhat (weight + offset) + bias
//   backward   g = dy (weight + offset),  dx = rstd (g - xhat mean(g xhat) - mean(g)) + dsum, the middle mean for LayerNorm alone
//              dweight = sum over rows of dy xhat,  dbias = sum over rows of dy
//
// One storage type for all tensors, arithmetic fp32, one rounding at the end. A row is read once: a group of 4 threads (64 numbers of bf16)
// to a block (16,384) holds it in registers; longer rows, odd widths and tensors off 16 bytes take a slower road. A row's bits depend on
// the row only. dweight and dbias are sums in an order fixed by rows, dim and the device: no atomics.
#pragma once

#include "r1/kernels/cpu/rows.h"
#include "r1/kernels/cuda/device.h"

namespace r1::kernels::cuda {

enum class NormKind { kRms, kLayer };

struct Norm {
  NormKind kind = NormKind::kRms;
  Float type = Float::kBf16;
  const void* x = nullptr;                        // [rows, dim], rows x_stride apart
  const void* delta = nullptr;                    // likewise, dense; or none
  const void *weight = nullptr, *bias = nullptr;  // [dim]; bias for LayerNorm alone
  void *sum = nullptr, *y = nullptr;              // [rows, dim] dense; sum where there is a delta, and it may be x or delta
  float *mean = nullptr, *rstd = nullptr;         // [rows] or none; the backward needs rstd, LayerNorm's mean too
  int64_t rows = 0, dim = 0, x_stride = 0;        // in elements; stride 0: dense
  float eps = 0, offset = 0;
};
void norm(const Norm& a, Stream stream);

struct NormBackward {
  NormKind kind = NormKind::kRms;
  Float type = Float::kBf16;
  const void* x = nullptr;       // what was normalised, rows x_stride apart
  const void* weight = nullptr;  // [dim]
  const void* dy = nullptr;      // [rows, dim] dense
  const void* dsum = nullptr;    // likewise, or none
  const float *mean = nullptr, *rstd = nullptr;
  void* dx = nullptr;                         // [rows, dim] dense; may be dy or dsum
  void *dweight = nullptr, *dbias = nullptr;  // [dim] or none
  float* partial = nullptr;                   // norm_partials(...) floats where dweight or dbias is wanted
  int64_t rows = 0, dim = 0, x_stride = 0;
  float offset = 0;
};
// Floats of workspace for the sums over rows.
int64_t norm_partials(int64_t rows, int64_t dim, Stream stream);
void norm_backward(const NormBackward& a, Stream stream);

// out[c] = sum over rows of x[r][c], in fp32 and in a fixed order: the gradient of a bias. x [rows, dim] with rows x_stride apart; partial:
// norm_partials(...) floats.
struct ColumnSums {
  Float type = Float::kBf16;
  const void* x = nullptr;
  void* out = nullptr;
  float* partial = nullptr;
  int64_t rows = 0, dim = 0, x_stride = 0;
};
void column_sums(const ColumnSums& a, Stream stream);

}  // namespace r1::kernels::cuda
