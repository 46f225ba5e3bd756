// The three fp32 products of a linear layer y = x w^T + bias.
//   linear_forward   y[m, n]  = bias[n] + sum_k x[m, k] w[n, k]
//   linear_grad_x    dx[m, k] = sum_n dy[m, n] w[n, k]
//   linear_grad_w    dw[n, k] (+)= sum_m dy[m, n] x[m, k]
// Contract of the bits: with s the summed index, an element is  ((B0 + B1) + B2) + ...  (+ bias), where Bi is the chain of fmas from 0 over
// s = 256 i .. 256 i + 255 ascending (accumulating: ((c + B0) + B1) + ...). So an element depends on its own row, its own column and the
// length of the sum: not on the number of rows, the tile it fell into, the thread count or the instruction set. A decode step of one row
// gives the bits of the same row in a prefill or in a training batch. Matrices are row-major; a row stride (in floats) of 0 means "dense".
// No alignment is required. Outputs may not overlap inputs. A product with an empty sum gives bias or 0 (accumulating: leaves c as it is).
// Threads: OpenMP, up to omp_get_max_threads(), one for small products (threads.h).
#pragma once

#include <cstdint>

namespace r1::kernels {

struct LinearForward {
  const float* x;               // [rows, in], stride x_stride
  const float* w;               // [out, in], stride w_stride
  const float* bias = nullptr;  // [out] or none
  float* y;                     // [rows, out], stride y_stride
  int64_t rows, in, out;
  int64_t x_stride = 0, w_stride = 0, y_stride = 0;
};
void linear_forward(const LinearForward& a);

struct LinearGradX {
  const float* dy;  // [rows, out]
  const float* w;   // [out, in]
  float* dx;        // [rows, in]
  int64_t rows, in, out;
  int64_t dy_stride = 0, w_stride = 0, dx_stride = 0;
  bool accumulate = false;
};
void linear_grad_x(const LinearGradX& a);

struct LinearGradW {
  const float* dy;  // [rows, out]
  const float* x;   // [rows, in]
  float* dw;        // [out, in]
  int64_t rows, in, out;
  int64_t dy_stride = 0, x_stride = 0, dw_stride = 0;
  bool accumulate = false;
};
void linear_grad_w(const LinearGradW& a);

// What the three are made of: c[m, n] (+)= sum_s a[m, s] b[s, n] (+ bias[n]). Of a's two strides one must be 1, and of b's two strides one
// must be 1.
struct Gemm {
  const float* a;
  int64_t a_row, a_sum;
  const float* b;
  int64_t b_sum, b_col;
  float* c;
  int64_t c_row;
  int64_t rows, cols, sum;
  const float* bias = nullptr;
  bool accumulate = false;
};
void gemm(const Gemm& g);

}  // namespace r1::kernels
