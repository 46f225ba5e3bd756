// The door to libtorch's operators: each function and sign does what ATen's of that name does. This file sees ATen's own as well, which
// also shows that the two do not get in each other's way.
#include "r1/tensor/aten.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <gtest/gtest.h>

namespace r1 {
namespace {

// Same dtype, shape and bits.
::testing::AssertionResult same(const Tensor& x, const Tensor& y) {
  if (x.scalar_type() != y.scalar_type() || !x.sizes().equals(y.sizes()) || !x.equal(y)) {
    return ::testing::AssertionFailure() << x << "\nis not\n" << y;
  }
  return ::testing::AssertionSuccess();
}

Tensor f(std::initializer_list<float> values) {
  return aten::tensor(values);
}
// (ATen makes no tensor from bools.)
Tensor b(std::initializer_list<int> values) {
  return aten::tensor(values).to(at::kBool);
}

TEST(Aten, SignsOfTwoTensors) {
  const Tensor x = f({1, 4, 9}), y = f({2, 4, 3});
  EXPECT_TRUE(same(x + y, f({3, 8, 12})));
  EXPECT_TRUE(same(x - y, f({-1, 0, 6})));
  EXPECT_TRUE(same(x * y, f({2, 16, 27})));
  EXPECT_TRUE(same(x / y, f({0.5, 1, 3})));
  EXPECT_TRUE(same(x < y, b({true, false, false})));
  EXPECT_TRUE(same(x <= y, b({true, true, false})));
  EXPECT_TRUE(same(x > y, b({false, false, true})));
  EXPECT_TRUE(same(x >= y, b({false, true, true})));
  EXPECT_TRUE(same(x == y, b({false, true, false})));
  EXPECT_TRUE(same(x != y, b({true, false, true})));
  EXPECT_TRUE(same((x < 5) & (y < 3), b({true, false, false})));
  EXPECT_TRUE(same((x < 2) | (y > 3), b({true, true, false})));
}

TEST(Aten, SignsWithANumber) {
  const Tensor x = f({1, 2, 4});
  EXPECT_TRUE(same(x + 1, f({2, 3, 5})));
  EXPECT_TRUE(same(x - 1, f({0, 1, 3})));
  EXPECT_TRUE(same(x * 2.0f, f({2, 4, 8})));
  EXPECT_TRUE(same(x / 2.0, f({0.5, 1, 2})));
  EXPECT_TRUE(same(x <= int64_t(2), b({true, true, false})));
  EXPECT_TRUE(same(x != at::Scalar(2), b({true, false, true})));
}

TEST(Aten, SignsWithANumberInFront) {
  const Tensor x = f({1, 2, 4});
  EXPECT_TRUE(same(1 + x, f({2, 3, 5})));
  EXPECT_TRUE(same(1 - x, f({0, -1, -3})));
  EXPECT_TRUE(same(2.0 * x, f({2, 4, 8})));
  EXPECT_TRUE(same(2.0 / x, f({2, 1, 0.5})));
  EXPECT_TRUE(same(2 < x, b({false, false, true})));
  EXPECT_TRUE(same(2 <= x, b({false, true, true})));
  EXPECT_TRUE(same(2 > x, b({true, false, false})));
  EXPECT_TRUE(same(2 >= x, b({true, true, false})));
  EXPECT_TRUE(same(2 == x, b({false, true, false})));
  EXPECT_TRUE(same(2 != x, b({true, false, true})));
}

// ATen's rule: the number in front is filled into the tensor's dtype; after it, the result's dtype grows.
TEST(Aten, NumbersAndIntegerTensorsAsInATen) {
  const Tensor x = aten::tensor({1, 2, 4}, at::kLong);
  EXPECT_TRUE(same(2.5 - x, at::operator-(at::Scalar(2.5), x)));
  EXPECT_TRUE(same(x - 2.5, at::operator-(x, at::Scalar(2.5))));
  EXPECT_TRUE(same(x / 2, at::operator/(x, at::Scalar(2))));
}

TEST(Aten, SignsAreDifferentiable) {
  Tensor x = f({1, 2, 4});
  x.requires_grad_(true);
  ((1 - x) * x + 8.0 / x).sum().backward();
  EXPECT_TRUE(same(x.grad(), f({1 - 2 - 8, 1 - 4 - 2, 1 - 8 - 0.5f})));
}

// Where arguments of one type stand side by side, a wrong order would compile.
TEST(Aten, ArgumentsKeepTheirOrder) {
  const Tensor x = aten::arange(12, at::kDouble).view({3, 4}) * 0.3 - 1.1, y = aten::arange(1, 4, 0.5, at::kDouble);
  const Tensor square = x.narrow(1, 0, 3), weight = aten::full({4}, 1.5, at::kDouble), bias = aten::full({4}, 0.25, at::kDouble);
  EXPECT_TRUE(same(y, at::arange(1, 4, 0.5, at::kDouble)));
  EXPECT_TRUE(same(aten::arange(2, 7), at::arange(2, 7)));
  EXPECT_TRUE(same(aten::full({2, 3}, 4, at::kInt), at::full({2, 3}, 4, at::kInt)));
  EXPECT_TRUE(same(aten::full_like(x, 4), at::full_like(x, 4)));
  EXPECT_TRUE(same(aten::addmm(square, square, square, 2, 3), at::addmm(square, square, square, 2, 3)));
  EXPECT_TRUE(same(aten::argmax(x, 1, true), at::argmax(x, 1, true)));
  EXPECT_TRUE(same(aten::cumsum(x, 1, at::kFloat), at::cumsum(x, 1, at::kFloat)));
  EXPECT_TRUE(same(aten::logsumexp(x, {1}, true), at::logsumexp(x, {1}, true)));
  EXPECT_TRUE(same(aten::mean(x, {0}, true, at::kFloat), at::mean(x, at::OptionalIntArrayRef({0}), true, at::kFloat)));
  EXPECT_TRUE(same(aten::softmax(x, 0, at::kFloat), at::softmax(x, 0, at::kFloat)));
  EXPECT_TRUE(same(aten::gelu(x, "tanh"), at::gelu(x, "tanh")));
  EXPECT_TRUE(same(aten::constant_pad_nd(x, {1, 2}, 7), at::constant_pad_nd(x, {1, 2}, 7)));
  EXPECT_TRUE(same(aten::layer_norm(x, {4}, weight, bias, 0.1), at::layer_norm(x, {4}, weight, bias, 0.1)));
  EXPECT_TRUE(same(aten::rms_norm(x, {4}, weight, 0.1), at::rms_norm(x, {4}, weight, 0.1)));
  EXPECT_TRUE(same(aten::linalg_vector_norm(x, 1, at::IntArrayRef({1}), true, at::kDouble),
                   at::linalg_vector_norm(x, 1, at::IntArrayRef({1}), true, at::kDouble)));
  EXPECT_TRUE(same(aten::searchsorted(y, y, true, true), at::searchsorted(y, y, true, true)));
  EXPECT_TRUE(same(aten::searchsorted(y, y, true, false), at::searchsorted(y, y, true, false)));
  EXPECT_TRUE(aten::allclose(x, x + 0.1, 0, 0.2) && !aten::allclose(x, x + 0.1, 0.01, 0));
  const Tensor ties = aten::tensor({2, 1, 2, 1, 2, 1}).view({2, 3});
  for (const bool descending : {false, true}) {
    for (const int64_t dim : {0, 1}) {
      EXPECT_TRUE(same(std::get<1>(aten::sort(ties, true, dim, descending)), std::get<1>(at::sort(ties, true, dim, descending))));
      EXPECT_TRUE(same(std::get<0>(aten::sort(x, dim, descending)), std::get<0>(at::sort(x, dim, descending))));
    }
  }
}

TEST(Aten, NewTensorsHaveTheOptionsAskedFor) {
  const at::TensorOptions options = at::TensorOptions().dtype(at::kHalf);
  for (const Tensor& x :
       {aten::empty({2, 3}, options), aten::ones({2, 3}, options), aten::zeros({2, 3}, options), aten::randn({2, 3}, options),
        aten::randint(9, {2, 3}, options), aten::empty_like(aten::zeros({2, 3}), options), aten::ones_like(aten::zeros({2, 3}), options),
        aten::zeros_like(aten::ones({2, 3}), options), aten::full_like(aten::zeros({2, 3}), 1, options)}) {
    EXPECT_EQ(x.scalar_type(), at::kHalf);
    EXPECT_EQ(x.sizes(), at::IntArrayRef({2, 3}));
  }
  EXPECT_EQ(aten::randint(9, {2}).scalar_type(), at::kLong);
  EXPECT_EQ(aten::scalar_tensor(2.5, options).item<double>(), 2.5);
  EXPECT_EQ(aten::scalar_tensor(2.5, options).scalar_type(), at::kHalf);
}

}  // namespace
}  // namespace r1
