// gemm_bf16 against its definitions, for any shape, thread count and instruction set (the numbers are far from subnormal).
#include "r1/kernels/cpu/gemm_bf16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "r1/kernels/cpu/bf16.h"
#include "r1/kernels/cpu/gemm_f32.h"
#include "tests/kernels/kernel_testing.h"

namespace r1::kernels {
namespace {

std::vector<uint16_t> random_bf16(int64_t n, uint64_t seed) {
  std::vector<uint16_t> v(n);
  const auto f = random_floats(n, seed);
  for (int64_t i = 0; i < n; ++i) v[i] = to_bf16(f[i]);
  return v;
}

float defined(const uint16_t* x, const uint16_t* w, int64_t in, const float* bias) {
  float y = 0;
  for (int64_t b = 0; b < in; b += 512) {
    float acc = 0;
    for (int64_t k = b; k < std::min(in, b + 512); k += 2)
      for (int64_t i : {k + 1, k})
        if (i < in) acc = std::fma(from_bf16(x[i]), from_bf16(w[i]), acc);
    y = b ? y + acc : acc;
  }
  return bias ? y + *bias : y;
}

TEST(GemmBf16, HasTheDefinedBits) {
  for (int64_t rows : {1, 3, 8, 9, 31})
    for (int64_t out : {1, 16, 50})
      for (int64_t in : {1, 2, 34, 35, 600, 1025}) {  // 1025: two blocks of pairs and half a pair
        const auto x = random_bf16(rows * (in + 2), 1), w = random_bf16(out * (in + 4), 2), bias16 = random_bf16(out, 4);
        const auto bias = random_floats(out, 3);
        for_each_isa_and_threads([&](const std::string& where) {
          std::vector<float> y(rows * out);
          std::vector<uint16_t> narrow(rows * out);
          LinearForwardBf16 a{.x = x.data(),
                              .w = w.data(),
                              .bias = {bias.data()},
                              .y = {y.data()},
                              .rows = rows,
                              .in = in,
                              .out = out,
                              .x_stride = in + 2,
                              .w_stride = in + 4};
          linear_forward_bf16(a);
          a.y = {narrow.data(), Float::kBf16};
          a.bias = {bias16.data(), Float::kBf16};
          linear_forward_bf16(a);
          for (int64_t m = 0; m < rows; ++m)
            for (int64_t n = 0; n < out; ++n) {
              const float wide = from_bf16(bias16[n]);
              ASSERT_EQ(bits(y[m * out + n]), bits(defined(&x[m * (in + 2)], &w[n * (in + 4)], in, &bias[n])))
                  << where << rows << out << in;
              ASSERT_EQ(narrow[m * out + n], to_bf16(defined(&x[m * (in + 2)], &w[n * (in + 4)], in, &wide))) << where << rows << out << in;
            }
        });
      }
}

TEST(GemmBf16, RowsDoNotDependOnTheBatchAndAgreeWithDoubles) {
  const int64_t in = 1200, out = 1100, most = 470;  // past every blocking size
  const auto x = random_bf16(most * in, 1), w = random_bf16(out * in, 2);
  std::vector<uint16_t> all(most * out), some(most * out);
  linear_forward_bf16({.x = x.data(), .w = w.data(), .y = {all.data(), Float::kBf16}, .rows = most, .in = in, .out = out});
  for (int64_t rows : {1, 2, 7, 8, 9, 64, 200}) {
    const int64_t first = most - rows;
    linear_forward_bf16({.x = x.data() + first * in, .w = w.data(), .y = {some.data(), Float::kBf16}, .rows = rows, .in = in, .out = out});
    ASSERT_EQ(0, std::memcmp(some.data(), all.data() + first * out, rows * out * 2)) << rows;
  }
  for (int64_t i = 0; i < most * out; i += 1009) {
    double want = 0;
    for (int64_t k = 0; k < in; ++k) want += double(from_bf16(x[i / out * in + k])) * from_bf16(w[i % out * in + k]);
    ASSERT_NEAR(from_bf16(all[i]), want, 2e-5 + std::abs(want) / 256);
  }
}

TEST(GemmBf16, TakesAnyAlignment) {
  const int64_t rows = 7, in = 20, out = 18;
  const auto x = random_bf16(rows * in + 1, 1), w = random_bf16(out * in + 1, 2);
  for_each_isa_and_threads([&](const std::string& where) {
    for (int64_t shift : {0, 1}) {
      std::vector<float> y(rows * out);
      linear_forward_bf16({.x = x.data() + shift, .w = w.data() + shift, .y = {y.data()}, .rows = rows, .in = in, .out = out});
      for (int64_t i = 0; i < rows * out; ++i)
        ASSERT_EQ(bits(y[i]), bits(defined(&x[shift + i / out * in], &w[shift + i % out * in], in, nullptr))) << where << shift;
    }
  });
}

// A matrix in fp32 or bf16, and the same widened.
struct Matrix {
  std::vector<float> wide;
  std::vector<uint16_t> narrow;
  Float type;
  const void* data() const { return type == Float::kF32 ? static_cast<const void*>(wide.data()) : narrow.data(); }
};
Matrix random_matrix(int64_t n, uint64_t seed, Float type) {
  Matrix m{random_floats(n, seed), {}, type};
  if (type == Float::kF32) return m;
  m.narrow.resize(n);
  f32_to_bf16(m.wide.data(), m.narrow.data(), n);
  bf16_to_f32(m.narrow.data(), m.wide.data(), n);
  return m;
}

// c, of m.c's type, against gemm's on the widened factors.
void expect_gemm_of_widened(const GemmMixed& m, const std::vector<float>& a, const std::vector<float>& b, const std::vector<float>& c0,
                            const std::string& where) {
  std::vector<float> want = c0, got = c0;
  std::vector<uint16_t> narrow(c0.size());
  gemm({.a = a.data(),
        .a_row = m.a.row,
        .a_sum = m.a.col,
        .b = b.data(),
        .b_sum = m.b.row,
        .b_col = m.b.col,
        .c = want.data(),
        .c_row = m.cols,
        .rows = m.rows,
        .cols = m.cols,
        .sum = m.sum,
        .accumulate = m.accumulate});
  GemmMixed mine = m;
  mine.c.data = m.c.type == Float::kF32 ? static_cast<void*>(got.data()) : narrow.data();
  gemm_mixed(mine);
  for (size_t i = 0; i < want.size(); ++i) {
    if (m.c.type == Float::kF32)
      ASSERT_EQ(bits(got[i]), bits(want[i])) << where << " " << m.rows << "x" << m.cols << "x" << m.sum << " at " << i;
    else
      ASSERT_EQ(narrow[i], to_bf16(want[i])) << where << " " << m.rows << "x" << m.cols << "x" << m.sum << " at " << i;
  }
}

TEST(GemmMixed, HasTheBitsOfWidenedFactors) {
  for (int64_t rows : {1, 5, 21})
    for (int64_t cols : {1, 16, 41})
      for (int64_t sum : {0, 1, 19, 300})
        for (Float a_type : {Float::kF32, Float::kBf16})
          for (Float b_type : {Float::kF32, Float::kBf16}) {
            const Matrix a = random_matrix(rows * sum, 1, a_type), b = random_matrix(sum * cols, 2, b_type);
            const auto c0 = random_floats(rows * cols, 3);
            for_each_isa_and_threads([&](const std::string& where) {
              for (bool a_by_rows : {true, false})
                for (bool b_by_rows : {true, false})
                  for (int c = 0; c < 3; ++c) {  // bf16, fp32, fp32 added to
                    GemmMixed m{.a = {a.data(), a_type, a_by_rows ? sum : 1, a_by_rows ? 1 : rows},
                                .b = {b.data(), b_type, b_by_rows ? cols : 1, b_by_rows ? 1 : sum},
                                .c = {nullptr, c == 0 ? Float::kBf16 : Float::kF32},
                                .rows = rows,
                                .cols = cols,
                                .sum = sum,
                                .accumulate = c == 2};
                    expect_gemm_of_widened(m, a.wide, b.wide, c0, where);
                  }
            });
          }
}

TEST(GemmMixed, GradientsOfALinearLayer) {
  const int64_t rows = 30, in = 37, out = 29;
  const Matrix dy = random_matrix(rows * out, 1, Float::kBf16), w = random_matrix(out * in, 2, Float::kBf16),
               x = random_matrix(rows * in, 3, Float::kBf16);
  std::vector<float> dx(rows * in), dw(out * in, 1.0f), want_dx(rows * in), want_dw(out * in, 1.0f);
  linear_grad_x_mixed({.dy = {dy.data(), dy.type}, .w = {w.data(), w.type}, .dx = {dx.data()}, .rows = rows, .in = in, .out = out});
  linear_grad_x({.dy = dy.wide.data(), .w = w.wide.data(), .dx = want_dx.data(), .rows = rows, .in = in, .out = out});
  EXPECT_EQ(dx, want_dx);
  linear_grad_w_mixed(
      {.dy = {dy.data(), dy.type}, .x = {x.data(), x.type}, .dw = {dw.data()}, .rows = rows, .in = in, .out = out, .accumulate = true});
  linear_grad_w({.dy = dy.wide.data(), .x = x.wide.data(), .dw = want_dw.data(), .rows = rows, .in = in, .out = out, .accumulate = true});
  EXPECT_EQ(dw, want_dw);
}

TEST(GemmMixed, RefusesToAddToBf16) {
  uint16_t c = 0;
  const float x = 1;
  EXPECT_THROW(linear_grad_w_mixed({.dy = {&x}, .x = {&x}, .dw = {&c, Float::kBf16}, .rows = 1, .in = 1, .out = 1, .accumulate = true}),
               Error);
}

}  // namespace
}  // namespace r1::kernels
