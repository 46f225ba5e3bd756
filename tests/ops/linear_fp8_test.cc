#include "r1/ops/linear_fp8.h"

#include <gtest/gtest.h>

#include <cmath>

#include "op_test.h"
#include "r1/base/error.h"

namespace r1::ops {
namespace {

Tensor on_cuda(at::IntArrayRef shape, uint64_t seed) {
  return randn(shape, seed).to(at::kCUDA, at::kBFloat16);
}

TEST(LinearFp8, RoundingIsThatOfTheFormat) {
  // By hand: the largest is 448 in the format, so the scale is 1; between 16 and 32 e4m3 has steps of 2, e5m2 (largest made 57344) of 4.
  const Tensor x = aten::tensor({448.0f, 17.0f, -17.1f, 0.0f}), y = rounded_to_fp8_ref(x, at::kFloat8_e4m3fn);
  EXPECT_EQ(y[0].item<float>(), 448);
  EXPECT_EQ(y[1].item<float>(), 16) << "ties go to even";
  EXPECT_EQ(y[2].item<float>(), -18);
  EXPECT_EQ(y[3].item<float>(), 0);
  EXPECT_EQ(rounded_to_fp8_ref(aten::zeros({3}), at::kFloat8_e4m3fn).abs().sum().item<float>(), 0) << "nothing has a scale of 1";
  const Tensor wide = rounded_to_fp8_ref(aten::tensor({57344.0f, 17.0f}), at::kFloat8_e5m2);
  EXPECT_EQ(wide[1].item<float>(), 16);
}

TEST(LinearFp8, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  struct Shape {
    int64_t T, I, O;
  };
  for (const Shape s : {Shape{16, 16, 16}, {128, 128, 128}, {144, 272, 400}, {512, 896, 1152}, {2048, 256, 48}}) {
    for (const bool with_bias : {false, true}) {
      const Tensor x = on_cuda({s.T, s.I}, 1).requires_grad_(), w = on_cuda({s.O, s.I}, 2).requires_grad_();
      const Tensor b = with_bias ? on_cuda({s.O}, 3).requires_grad_() : Tensor();
      ASSERT_TRUE(takes_fp8(x, w));
      const Tensor y = linear_fp8(x, w, b);
      EXPECT_LE(distance(y, linear_fp8_ref(x.detach(), w.detach(), with_bias ? b.detach() : b)), 1e-2);
      const Tensor dy = on_cuda({s.T, s.O}, 4);
      Tensors inputs{x, w};
      if (with_bias) inputs.push_back(b);
      const Tensors grads = gradients({y}, {dy}, inputs);
      const auto rounded = [](const Tensor& t, at::ScalarType type) { return rounded_to_fp8_ref(t.detach().to(at::kFloat), type); };
      const Tensor dy8 = rounded(dy, at::kFloat8_e5m2);
      EXPECT_LE(distance(grads[0], aten::matmul(dy8, rounded(w, at::kFloat8_e4m3fn))), 1e-2);
      EXPECT_LE(distance(grads[1], aten::matmul(dy8.t(), rounded(x, at::kFloat8_e4m3fn))), 1e-2);
      if (with_bias) EXPECT_LE(distance(grads[2], dy.to(at::kFloat).sum(0)), 1e-2);
      EXPECT_TRUE(aten::equal(linear_fp8(x.detach(), w.detach(), with_bias ? b.detach() : b), y)) << "with and without a graph";
      // Near the product that is not rounded: three bits of mantissa each.
      EXPECT_LE(distance(linear_fp8(x.detach(), w.detach()), aten::matmul(x.detach(), w.detach().t())), 0.1);
    }
  }
}

TEST(LinearFp8, ScalesFollowTheNumbersCuda) {
  SKIP_WITHOUT_CUDA();
  const Tensor x = on_cuda({32, 64}, 1), w = on_cuda({48, 64}, 2), y = linear_fp8(x, w);
  for (const double factor : {1e-20, 0x1p-10, 0x1p12, 1e20}) {
    const Tensor z = linear_fp8(x * factor, w);
    EXPECT_LE(distance(z.to(at::kDouble) / factor, y), 2e-2) << factor;
  }
  EXPECT_EQ(linear_fp8(x * 0, w).abs().sum().item<float>(), 0);
  for (const double bad : {double(NAN), double(INFINITY)}) {
    Tensor spoilt = x.clone();
    spoilt[31][63].fill_(bad);
    EXPECT_FALSE(aten::isfinite(linear_fp8(spoilt, w)).all().item<bool>()) << "it shows";
  }
}

TEST(LinearFp8, OthersAreRefused) {
  const Tensor x = aten::zeros({16, 16}, at::kBFloat16);
  EXPECT_FALSE(takes_fp8(x, x)) << "on the CPU";
  EXPECT_THROW(linear_fp8(x, x), Error);
}

TEST(LinearFp8, OddSizesAreRefusedCuda) {
  SKIP_WITHOUT_CUDA();
  EXPECT_FALSE(takes_fp8(on_cuda({16, 24}, 1), on_cuda({16, 24}, 1)));
  EXPECT_FALSE(takes_fp8(on_cuda({17, 16}, 1), on_cuda({16, 16}, 1)));
  EXPECT_THROW(linear_fp8(on_cuda({17, 16}, 1), on_cuda({16, 16}, 1)), Error);
}

}  // namespace
}  // namespace r1::ops
