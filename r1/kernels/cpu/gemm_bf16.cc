#include "r1/kernels/cpu/gemm_bf16.h"

#include "r1/base/error.h"
#include "r1/kernels/cpu/bf16.h"
#include "r1/kernels/cpu/gemm_bf16_simd.h"
#include "r1/kernels/cpu/gemm_f32_simd.h"
#include "r1/kernels/cpu/scratch.h"

namespace r1::kernels {
namespace {

// Up to here packing is most of the work, and pairs are packed in half the time of floats.
constexpr int64_t kFewRowsPaired = 6;

const float* wide_bias(const ConstRows& bias, int64_t n) {
  if (!bias.data || bias.type == Float::kF32) return static_cast<const float*>(bias.data);
  float* wide = scratch(Scratch::kGemmBias, n);
  for (int64_t i = 0; i < n; ++i) wide[i] = from_bf16(static_cast<const uint16_t*>(bias.data)[i]);
  return wide;
}

int64_t stride_or(int64_t stride, int64_t dense) {
  return stride ? stride : dense;
}
const float* f32_or_null(const Factor& f) {
  return f.type == Float::kF32 ? static_cast<const float*>(f.data) : nullptr;
}
const uint16_t* bf16_or_null(const Factor& f) {
  return f.type == Float::kBf16 ? static_cast<const uint16_t*>(f.data) : nullptr;
}
float* f32_or_null(const Rows& rows) {
  return rows.type == Float::kF32 ? static_cast<float*>(rows.data) : nullptr;
}
uint16_t* bf16_or_null(const Rows& rows) {
  return rows.type == Float::kBf16 ? static_cast<uint16_t*>(rows.data) : nullptr;
}

void run_pairs(const LinearForwardBf16& a, Gemm g) {
  g.a = reinterpret_cast<const float*>(a.x), g.b = reinterpret_cast<const float*>(a.w);
  g.a_row /= 2, g.b_col /= 2, g.sum /= 2;
#if defined(__x86_64__)
  if (uses_bf16_dot()) return gemm_pairs_simd<Isa::kAvx512, true>(g, bf16_or_null(a.y));
#endif
  with_isa([&](auto isa) { gemm_pairs_simd<isa(), false>(g, bf16_or_null(a.y)); });
}

}  // namespace

void linear_forward_bf16(const LinearForwardBf16& a) {
  check(a.rows >= 0 && a.out >= 0 && a.in > 0, "[linear_forward_bf16] expected sizes, got ", a.rows, " x ", a.in, " x ", a.out);
  if (a.rows == 0 || a.out == 0) return;
  const Gemm g{.a_row = stride_or(a.x_stride, a.in),
               .a_sum = 1,
               .b_sum = 1,
               .b_col = stride_or(a.w_stride, a.in),
               .c = f32_or_null(a.y),
               .c_row = stride_or(a.y.row_stride, a.out),
               .rows = a.rows,
               .cols = a.out,
               .sum = a.in,
               .bias = wide_bias(a.bias, a.out)};
  const bool paired = g.sum % 2 == 0 && g.a_row % 2 == 0 && g.b_col % 2 == 0 &&
                      (reinterpret_cast<uintptr_t>(a.x) | reinterpret_cast<uintptr_t>(a.w)) % 4 == 0;
  if (paired && (uses_bf16_dot() || a.rows <= kFewRowsPaired)) return run_pairs(a, g);
  with_isa([&](auto isa) { gemm_split_pairs_simd<isa()>(g, a.x, a.w, bf16_or_null(a.y)); });
}

void linear_grad_x_mixed(const LinearGradXMixed& a) {
  gemm_mixed({.a = {a.dy.data, a.dy.type, stride_or(a.dy.row_stride, a.out), 1},
              .b = {a.w.data, a.w.type, stride_or(a.w.row_stride, a.in), 1},
              .c = a.dx,
              .rows = a.rows,
              .cols = a.in,
              .sum = a.out});
}

void linear_grad_w_mixed(const LinearGradWMixed& a) {
  gemm_mixed({.a = {a.dy.data, a.dy.type, 1, stride_or(a.dy.row_stride, a.out)},
              .b = {a.x.data, a.x.type, stride_or(a.x.row_stride, a.in), 1},
              .c = a.dw,
              .rows = a.out,
              .cols = a.in,
              .sum = a.rows,
              .accumulate = a.accumulate});
}

void gemm_mixed(const GemmMixed& m) {
  check(m.rows >= 0 && m.cols >= 0 && m.sum >= 0, "[gemm_mixed] expected sizes >= 0, got ", m.rows, " x ", m.cols, " x ", m.sum);
  check((m.a.row == 1 || m.a.col == 1) && (m.b.row == 1 || m.b.col == 1), "[gemm_mixed] expected a unit stride in a and in b, got a (",
        m.a.row, ", ", m.a.col, "), b (", m.b.row, ", ", m.b.col, ")");
  check(!m.accumulate || m.c.type == Float::kF32, "[gemm_mixed] expected fp32 to add to");
  if (m.rows == 0 || m.cols == 0) return;
  const Gemm g{.a = f32_or_null(m.a),
               .a_row = m.a.row,
               .a_sum = m.a.col,
               .b = f32_or_null(m.b),
               .b_sum = m.b.row,
               .b_col = m.b.col,
               .c = f32_or_null(m.c),
               .c_row = stride_or(m.c.row_stride, m.cols),
               .rows = m.rows,
               .cols = m.cols,
               .sum = m.sum,
               .accumulate = m.accumulate};
  uint16_t* narrow = bf16_or_null(m.c);
  if (!narrow && (m.sum == 0 || (g.a && g.b))) return gemm(g);
  if (m.sum == 0) {
    for (int64_t i = 0; i < m.rows; ++i)
      for (int64_t j = 0; j < m.cols; ++j) narrow[i * g.c_row + j] = 0;
    return;
  }
  with_isa([&](auto isa) { gemm_mixed_simd<isa()>(g, bf16_or_null(m.a), bf16_or_null(m.b), narrow); });
}

}  // namespace r1::kernels
