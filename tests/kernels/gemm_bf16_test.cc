// gemm_bf16 against its definition, for any shape, thread count and instruction set (the numbers are far from subnormal).
#include "r1/kernels/cpu/gemm_bf16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "r1/kernels/cpu/bf16.h"
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
      for (int64_t i : {k + 1, k}) acc = std::fma(from_bf16(x[i]), from_bf16(w[i]), acc);
    y = b ? y + acc : acc;
  }
  return bias ? y + *bias : y;
}

TEST(GemmBf16, HasTheDefinedBits) {
  for (int64_t rows : {1, 3, 8, 9, 31})
    for (int64_t out : {1, 16, 50})
      for (int64_t in : {2, 34, 600}) {
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

TEST(GemmBf16, RefusesOddSizes) {
  uint32_t x = 0;
  const auto* p = reinterpret_cast<const uint16_t*>(&x);
  float y;
  EXPECT_THROW(linear_forward_bf16({.x = p, .w = p, .y = {&y}, .rows = 1, .in = 1, .out = 1}), Error);
  EXPECT_THROW(linear_forward_bf16({.x = p + 1, .w = p, .y = {&y}, .rows = 1, .in = 2, .out = 1}), Error);
}

}  // namespace
}  // namespace r1::kernels
