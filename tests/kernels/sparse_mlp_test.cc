// The MLP of few tokens with their strongest neurons only: the bits of the dense form with zeros elsewhere, in both types of floats, for
// any number of tokens, threads and instruction set; and the product with a weight that lies [in, out], which that form ends with.
#include "r1/kernels/cpu/sparse_mlp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "r1/kernels/cpu/bf16.h"
#include "r1/kernels/cpu/gemm_bf16.h"
#include "r1/kernels/cpu/gemm_f32.h"
#include "r1/kernels/cpu/linear_in.h"
#include "r1/kernels/cpu/swiglu.h"
#include "tests/kernels/kernel_testing.h"

namespace r1::kernels {
namespace {

std::vector<uint16_t> random_bf16(int64_t n, uint64_t seed, float scale = 1) {
  std::vector<uint16_t> v(static_cast<size_t>(n));
  const auto f = random_floats(n, seed, scale);
  for (size_t i = 0; i < v.size(); ++i) v[i] = to_bf16(f[i]);
  return v;
}

float wide(float x) {
  return x;
}
float wide(uint16_t x) {
  return from_bf16(x);
}

// An element of linear_in by its definition.
template <class T>
T defined(const float* x, const T* w_column, int64_t in, int64_t out) {
  float y = 0;
  for (int64_t b = 0; b < in; b += 256) {
    float sum = 0;
    for (int64_t k = b; k < std::min(in, b + 256); ++k) sum = std::fma(x[k], wide(w_column[k * out]), sum);
    y = b ? y + sum : sum;
  }
  if constexpr (std::is_same_v<T, float>)
    return y;
  else
    return to_bf16(y);
}

template <class T>
void expect_defined_bits(std::vector<T> (*random)(int64_t), Float type) {
  for (const int64_t rows : {1, 3, 8, 9, 40})
    for (const int64_t in : {1, 37, 600})
      for (const int64_t out : {1, 75, 530}) {
        const auto x = random_floats(rows * in, 1);
        const std::vector<T> w = random(in * out);
        std::vector<T> want(size_t(rows * out));
        for (int64_t i = 0; i < rows * out; ++i) want[size_t(i)] = defined(&x[size_t(i / out * in)], &w[size_t(i % out)], in, out);
        for_each_isa_and_threads([&](const std::string& where) {
          std::vector<T> y(want.size(), T(7));
          linear_in({.x = x.data(), .w = {w.data(), type}, .y = {y.data(), type}, .rows = rows, .in = in, .out = out});
          ASSERT_EQ(y, want) << where << " " << rows << " x " << in << " x " << out;
        });
      }
}
TEST(LinearIn, HasTheDefinedBits) {
  expect_defined_bits<float>([](int64_t n) { return random_floats(n, 2); }, Float::kF32);
}
TEST(LinearIn, HasTheDefinedBitsBf16) {
  expect_defined_bits<uint16_t>([](int64_t n) { return random_bf16(n, 2); }, Float::kBf16);
}
TEST(LinearIn, SaysWhatItExpected) {
  float y[2] = {};
  EXPECT_ANY_THROW(linear_in({.x = y, .w = {y}, .y = {y}, .rows = 1, .in = 0, .out = 2}));
  EXPECT_ANY_THROW(linear_in({.x = y, .w = {y}, .y = {y, Float::kBf16}, .rows = 1, .in = 1, .out = 2}));
}

struct Sizes {
  int64_t rows, dim, inner, keep;
};

// What the two types of floats have their own of: storage, and the dense products.
template <class T>
struct Case {
  Sizes s;
  std::vector<T> x, gate_w, up, down;

  explicit Case(const Sizes& sizes) : s(sizes) {
    x = random(s.rows * s.dim, 1), gate_w = random(s.inner * s.dim, 2), up = random(s.inner * s.dim, 3), down = random(s.inner * s.dim, 4);
  }
  static std::vector<T> random(int64_t n, uint64_t seed) {
    if constexpr (std::is_same_v<T, float>)
      return random_floats(n, seed);
    else
      return random_bf16(n, seed);
  }
  static constexpr Float type() { return std::is_same_v<T, float> ? Float::kF32 : Float::kBf16; }
  static ConstRows rows(const std::vector<T>& v) { return {v.data(), type()}; }

  std::vector<T> product(const std::vector<T>& w) const {
    std::vector<T> y(size_t(s.rows * s.inner));
    if constexpr (std::is_same_v<T, float>)
      linear_forward({.x = x.data(), .w = w.data(), .y = y.data(), .rows = s.rows, .in = s.dim, .out = s.inner});
    else
      linear_forward_bf16({.x = x.data(), .w = w.data(), .y = {y.data(), Float::kBf16}, .rows = s.rows, .in = s.dim, .out = s.inner});
    return y;
  }
  std::vector<T> dense() const {
    const std::vector<T> gate = product(gate_w), all_up = product(up);
    std::vector<T> hidden(gate.size()), mask(gate.size()), y(x.size());
    swiglu({.gate = rows(gate), .up = rows(all_up), .y = {hidden.data(), type()}, .rows = s.rows, .dim = s.inner});
    top_mask({.gate = rows(gate), .mask = {mask.data(), type()}, .rows = s.rows, .dim = s.inner, .keep = s.keep});
    for (size_t i = 0; i < hidden.size(); ++i)
      if (mask[i] == T(0)) hidden[i] = T(0);
    std::vector<float> widened(hidden.size());
    for (size_t i = 0; i < widened.size(); ++i) widened[i] = wide(hidden[i]);
    linear_in({.x = widened.data(), .w = rows(down), .y = {y.data(), type()}, .rows = s.rows, .in = s.inner, .out = s.dim});
    return y;
  }
  // The tokens [first, first + count) alone.
  std::vector<T> sparse(int64_t first, int64_t count) const {
    const std::vector<T> gate = product(gate_w);
    std::vector<T> y(size_t(count * s.dim));
    sparse_mlp({.x = {x.data() + first * s.dim, type()},
                .gate = {gate.data() + first * s.inner, type()},
                .up = rows(up),
                .down = rows(down),
                .y = {y.data(), type()},
                .rows = count,
                .dim = s.dim,
                .inner = s.inner,
                .keep = s.keep});
    return y;
  }
};

template <class T>
void expect_dense_bits() {
  for (const Sizes& s : {Sizes{5, 64, 176, 60},
                         {3, 130, 600, 0},
                         {3, 130, 600, 1},
                         {2, 600, 1100, 333},
                         {11, 70, 600, 200},
                         {4, 38, 53, 53},
                         {1, 576, 700, 140}}) {
    const Case<T> c(s);
    const std::vector<T> want = c.dense();
    for_each_isa_and_threads([&](const std::string& where) {
      ASSERT_EQ(c.sparse(0, s.rows), want) << where << " " << s.dim << " x " << s.inner << " keep " << s.keep;
      for (int64_t r = 0; r < s.rows; ++r)
        ASSERT_EQ(c.sparse(r, 1), std::vector<T>(want.begin() + r * s.dim, want.begin() + (r + 1) * s.dim)) << where << " row " << r;
    });
  }
}
TEST(SparseMlp, HasTheBitsOfTheDenseForm) {
  expect_dense_bits<float>();
}
TEST(SparseMlp, HasTheBitsOfTheDenseFormBf16) {
  expect_dense_bits<uint16_t>();
}

// What is off is not read: NaNs there do not show.
TEST(SparseMlp, LeavesTheOthersUnread) {
  Case<uint16_t> c({2, 64, 96, 10});
  const std::vector<uint16_t> want = c.sparse(0, 2), gate = c.product(c.gate_w);
  std::vector<uint16_t> mask(gate.size());
  top_mask({.gate = c.rows(gate), .mask = {mask.data(), Float::kBf16}, .rows = 2, .dim = 96, .keep = 10});
  int64_t off = 0;
  for (int64_t j = 0; j < 96; ++j) {
    if (mask[size_t(j)] || mask[size_t(96 + j)]) continue;
    const uint16_t nan = to_bf16(std::numeric_limits<float>::quiet_NaN());
    std::fill_n(c.up.begin() + j * 64, 64, nan), std::fill_n(c.down.begin() + j * 64, 64, nan);
    ++off;
  }
  EXPECT_GE(off, 76);
  EXPECT_EQ(c.sparse(0, 2), want);
}

TEST(SparseMlp, SaysWhatItExpected) {
  const Case<uint16_t> odd({1, 7, 16, 4});
  EXPECT_ANY_THROW(sparse_mlp({.x = odd.rows(odd.x),
                               .gate = odd.rows(odd.up),
                               .up = odd.rows(odd.up),
                               .down = odd.rows(odd.down),
                               .y = {},
                               .rows = 1,
                               .dim = 7,
                               .inner = 16,
                               .keep = 4}));
  const Case<float> c({1, 8, 16, 4});
  std::vector<float> y(8);
  const SparseMlp good{.x = c.rows(c.x),
                       .gate = c.rows(c.up),
                       .up = c.rows(c.up),
                       .down = c.rows(c.down),
                       .y = {y.data()},
                       .rows = 1,
                       .dim = 8,
                       .inner = 16,
                       .keep = 4};
  EXPECT_NO_THROW(sparse_mlp(good));
  SparseMlp bad = good;
  bad.keep = 17;
  EXPECT_ANY_THROW(sparse_mlp(bad));
  bad = good;
  bad.gate.type = Float::kBf16;
  EXPECT_ANY_THROW(sparse_mlp(bad));
}

}  // namespace
}  // namespace r1::kernels
