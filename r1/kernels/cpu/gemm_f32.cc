#include "r1/kernels/cpu/gemm_f32.h"

#include "r1/base/error.h"
#include "r1/kernels/cpu/gemm_f32_simd.h"
#include "r1/kernels/cpu/isa.h"

namespace r1::kernels {
namespace {

int64_t stride_or(int64_t stride, int64_t dense) {
  return stride ? stride : dense;
}

}  // namespace

void gemm(const Gemm& g) {
  check(g.rows >= 0 && g.cols >= 0 && g.sum >= 0, "[gemm] expected sizes >= 0, got ", g.rows, " x ", g.cols, " x ", g.sum);
  check((g.a_row == 1 || g.a_sum == 1) && (g.b_sum == 1 || g.b_col == 1), "[gemm] expected a unit stride in a and in b, got a (", g.a_row,
        ", ", g.a_sum, "), b (", g.b_sum, ", ", g.b_col, ")");
  if (g.rows == 0 || g.cols == 0) return;
  with_isa([&](auto isa) { gemm_simd<isa()>(g); });
}

void linear_forward(const LinearForward& a) {
  gemm({.a = a.x,
        .a_row = stride_or(a.x_stride, a.in),
        .a_sum = 1,
        .b = a.w,
        .b_sum = 1,
        .b_col = stride_or(a.w_stride, a.in),
        .c = a.y,
        .c_row = stride_or(a.y_stride, a.out),
        .rows = a.rows,
        .cols = a.out,
        .sum = a.in,
        .bias = a.bias});
}

void linear_grad_x(const LinearGradX& a) {
  gemm({.a = a.dy,
        .a_row = stride_or(a.dy_stride, a.out),
        .a_sum = 1,
        .b = a.w,
        .b_sum = stride_or(a.w_stride, a.in),
        .b_col = 1,
        .c = a.dx,
        .c_row = stride_or(a.dx_stride, a.in),
        .rows = a.rows,
        .cols = a.in,
        .sum = a.out,
        .accumulate = a.accumulate});
}

void linear_grad_w(const LinearGradW& a) {
  gemm({.a = a.dy,
        .a_row = 1,
        .a_sum = stride_or(a.dy_stride, a.out),
        .b = a.x,
        .b_sum = stride_or(a.x_stride, a.in),
        .b_col = 1,
        .c = a.dw,
        .c_row = stride_or(a.dw_stride, a.in),
        .rows = a.out,
        .cols = a.in,
        .sum = a.rows,
        .accumulate = a.accumulate});
}

}  // namespace r1::kernels
