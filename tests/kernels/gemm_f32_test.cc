// gemm_f32 against a double-precision loop, and its contract of the bits: the plain loop below, for any shape, thread count and instruction
// set.
#include "r1/kernels/cpu/gemm_f32.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/kernels/kernel_testing.h"

namespace r1::kernels {
namespace {

// The definition: blocks of 256, fma chains.
float defined(const Gemm& g, int64_t m, int64_t n, float c0) {
  float c = c0;
  for (int64_t k0 = 0; k0 < g.sum; k0 += 256) {
    float block = 0;
    for (int64_t k = k0; k < std::min(g.sum, k0 + 256); ++k)
      block = std::fma(g.a[m * g.a_row + k * g.a_sum], g.b[k * g.b_sum + n * g.b_col], block);
    c = g.accumulate || k0 > 0 ? c + block : block;
  }
  return g.bias ? c + g.bias[n] : c;
}

void expect_defined(Gemm g, const std::vector<float>& c0, const std::string& what) {
  for_each_isa_and_threads([&](const std::string& where) {
    std::vector<float> c = c0;
    g.c = c.data();
    gemm(g);
    for (int64_t m = 0; m < g.rows; ++m)
      for (int64_t n = 0; n < g.cols; ++n) {
        const float want = defined(g, m, n, c0[m * g.c_row + n]);
        ASSERT_EQ(bits(c[m * g.c_row + n]), bits(want)) << what << " " << where << " at " << m << "," << n;
      }
    for (int64_t m = 0; m < g.rows; ++m)
      for (int64_t n = g.cols; n < g.c_row; ++n)
        ASSERT_EQ(c[m * g.c_row + n], c0[m * g.c_row + n]) << "wrote outside, " << what << " " << where;
  });
}

TEST(GemmF32, ForwardHasTheDefinedBits) {
  for (int64_t rows : {1, 2, 5, 14, 15, 31})
    for (int64_t cols : {1, 16, 33, 70})
      for (int64_t sum : {1, 17, 256, 300}) {
        const auto x = random_floats(rows * (sum + 3), 1), w = random_floats(cols * (sum + 5), 2), bias = random_floats(cols, 3);
        Gemm g{.a = x.data(),
               .a_row = sum + 3,
               .a_sum = 1,
               .b = w.data(),
               .b_sum = 1,
               .b_col = sum + 5,
               .c = nullptr,
               .c_row = cols + 2,
               .rows = rows,
               .cols = cols,
               .sum = sum,
               .bias = bias.data()};
        expect_defined(g, random_floats(rows * (cols + 2), 4), str("forward ", rows, "x", cols, "x", sum));
      }
}

TEST(GemmF32, GradientsHaveTheDefinedBits) {
  for (int64_t rows : {1, 7, 40})
    for (int64_t cols : {3, 32, 49})
      for (int64_t sum : {1, 20, 260})
        for (bool accumulate : {false, true}) {
          const auto a = random_floats(rows * sum, 1), b = random_floats(sum * cols, 2), c0 = random_floats(rows * cols, 3);
          Gemm dx{.a = a.data(),
                  .a_row = sum,
                  .a_sum = 1,
                  .b = b.data(),
                  .b_sum = cols,
                  .b_col = 1,
                  .c = nullptr,
                  .c_row = cols,
                  .rows = rows,
                  .cols = cols,
                  .sum = sum,
                  .accumulate = accumulate};
          expect_defined(dx, c0, "grad_x");
          Gemm dw = dx;
          dw.a_row = 1, dw.a_sum = rows;
          expect_defined(dw, c0, "grad_w");
        }
}

TEST(GemmF32, RowsDoNotDependOnTheBatch) {
  const int64_t in = 576, out = 200, most = 130;
  const auto x = random_floats(most * in, 1), w = random_floats(out * in, 2);
  std::vector<float> all(most * out), some(most * out);
  linear_forward({.x = x.data(), .w = w.data(), .y = all.data(), .rows = most, .in = in, .out = out});
  for (int64_t rows = 1; rows <= most; ++rows) {
    const int64_t first = most - rows;  // the last rows of the batch, so that each row moves through the tiles
    linear_forward({.x = x.data() + first * in, .w = w.data(), .y = some.data(), .rows = rows, .in = in, .out = out});
    ASSERT_EQ(0, std::memcmp(some.data(), all.data() + first * out, rows * out * sizeof(float))) << rows;
  }
}

TEST(GemmF32, LargeShapesOnAllThreads) {  // past every blocking size: 448 rows, 1024 columns, 256 terms
  const int64_t rows = 470, cols = 1100, sum = 520;
  const auto x = random_floats(rows * sum, 1), w = random_floats(cols * sum, 2);
  std::vector<float> one(rows * cols), two(rows * cols);
  Gemm g{.a = x.data(),
         .a_row = sum,
         .a_sum = 1,
         .b = w.data(),
         .b_sum = 1,
         .b_col = sum,
         .c = one.data(),
         .c_row = cols,
         .rows = rows,
         .cols = cols,
         .sum = sum};
  with_threads(1, [&] { gemm(g); });
  g.c = two.data();
  with_threads(2, [&] { gemm(g); });
  EXPECT_EQ(one, two);
  for (int64_t i = 0; i < rows * cols; i += 997) ASSERT_EQ(bits(one[i]), bits(defined(g, i / cols, i % cols, 0)));
}

TEST(GemmF32, AgainstDoubles) {
  const int64_t rows = 9, in = 700, out = 50;
  const auto x = random_floats(rows * in, 1), w = random_floats(out * in, 2), dy = random_floats(rows * out, 3);
  std::vector<float> y(rows * out), dx(rows * in), dw(out * in);
  linear_forward({.x = x.data(), .w = w.data(), .y = y.data(), .rows = rows, .in = in, .out = out});
  linear_grad_x({.dy = dy.data(), .w = w.data(), .dx = dx.data(), .rows = rows, .in = in, .out = out});
  linear_grad_w({.dy = dy.data(), .x = x.data(), .dw = dw.data(), .rows = rows, .in = in, .out = out});
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t n = 0; n < out; ++n) {
      double s = 0;
      for (int64_t k = 0; k < in; ++k) s += double(x[m * in + k]) * w[n * in + k];
      ASSERT_NEAR(y[m * out + n], s, 3e-5);
    }
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t k = 0; k < in; ++k) {
      double s = 0;
      for (int64_t n = 0; n < out; ++n) s += double(dy[m * out + n]) * w[n * in + k];
      ASSERT_NEAR(dx[m * in + k], s, 1e-5);
    }
  for (int64_t n = 0; n < out; ++n)
    for (int64_t k = 0; k < in; ++k) {
      double s = 0;
      for (int64_t m = 0; m < rows; ++m) s += double(dy[m * out + n]) * x[m * in + k];
      ASSERT_NEAR(dw[n * in + k], s, 5e-6);
    }
}

TEST(GemmF32, EmptySumsAndBadStrides) {
  const float bias[2] = {3, 4};
  float y[2] = {1, 2};
  linear_forward({.x = nullptr, .w = nullptr, .bias = bias, .y = y, .rows = 1, .in = 0, .out = 2});
  EXPECT_EQ(y[0], 3);
  linear_grad_w({.dy = nullptr, .x = nullptr, .dw = y, .rows = 0, .in = 1, .out = 2, .accumulate = true});
  EXPECT_EQ(y[1], 4);
  linear_grad_w({.dy = nullptr, .x = nullptr, .dw = y, .rows = 0, .in = 1, .out = 2});
  EXPECT_EQ(y[1], 0);
  EXPECT_THROW(gemm({.a = y, .a_row = 2, .a_sum = 2, .b = y, .b_sum = 1, .b_col = 1, .c = y, .c_row = 1, .rows = 1, .cols = 1, .sum = 1}),
               Error);
}

}  // namespace
}  // namespace r1::kernels
