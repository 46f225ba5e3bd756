// Products with packed weights are their definition, bit for bit, and as near to the exact product as the header says.
#include "r1/ops/packed_linear.h"

#include <cmath>
#include <limits>

#include "op_test.h"
#include "r1/ops/logprob.h"
#include "tests/tensor/random_packed.h"

namespace r1::ops {
namespace {

using tensor::kPackedTypes;
using tensor::random_packed;

// Rows of very different sizes, with blocks of zeros and outliers.
Tensor inputs(int64_t tokens, int64_t columns, uint64_t seed) {
  const Tensor x = randn({tokens, columns}, seed).to(at::kFloat);
  for (int64_t t = 0; t < tokens; ++t) x[t].mul_(std::pow(10.0, double(t % 7) - 3));
  x.narrow(1, 0, 32).zero_();
  x.select(1, columns - 3).mul_(300);
  return x;
}

TEST(PackedLinear, IsItsDefinition) {
  for (const GgmlType type : kPackedTypes) {
    const auto w = random_packed(type, 21, 768, 1);
    const Tensor x = inputs(9, 768, 2), bias = randn({21}, 3).to(at::kFloat);
    EXPECT_TRUE(aten::equal(packed_linear(x, *w, 0, 21, bias), packed_linear_ref(x, *w, 0, 21, bias))) << w->format();
    EXPECT_TRUE(aten::equal(packed_linear(x, *w, 5, 12), packed_linear_ref(x, *w, 5, 12))) << w->format();
    EXPECT_TRUE(aten::equal(packed_linear_fp32(x, *w, 0, 21), packed_linear_ref(x, *w, 0, 21))) << w->format();
    const Tensor narrow = x.to(at::kBFloat16), small = bias.to(at::kBFloat16);
    EXPECT_TRUE(aten::equal(packed_linear(narrow, *w, 0, 21, small), packed_linear_ref(narrow, *w, 0, 21, small).to(at::kBFloat16)))
        << w->format();
    EXPECT_TRUE(aten::equal(packed_linear_fp32(narrow, *w, 0, 21), packed_linear_ref(narrow, *w, 0, 21))) << w->format();
  }
}

TEST(PackedLinear, IsWithinItsBound) {
  for (const GgmlType type : kPackedTypes) {
    const auto w = random_packed(type, 24, 1024, 4);
    const Tensor x = inputs(8, 1024, 5), unpacked = aten::empty({24, 1024});
    w->unpack(0, 24, unpacked);
    const tensor::BlockCodes codes = w->codes(0, 24);
    const int64_t e = codes.elements, blocks = 1024 / e;
    const Tensor x64 = x.to(at::kDouble), w64 = unpacked.to(at::kDouble);
    const Tensor s_TB = x64.view({8, blocks, e}).abs().amax({2}) / 127;
    const Tensor rounding = aten::matmul(s_TB / 2, w64.abs().view({24, blocks, e}).sum({2}).t());
    Tensor sizes = codes.code_OI.abs().to(at::kDouble) * codes.scale_OB.abs().to(at::kDouble).repeat_interleave(e, 1);
    if (codes.offset_OB.defined())
      sizes = sizes + codes.offset_code_OI.abs().to(at::kDouble) * codes.offset_OB.abs().to(at::kDouble).repeat_interleave(e, 1);
    const Tensor sums = aten::matmul(x64.abs() + s_TB.repeat_interleave(e, 1) / 2, sizes.t());
    const Tensor bound = rounding + sums * (0x1p-22 * double(blocks + 2));
    const Tensor error = (packed_linear(x, *w, 0, 24).to(at::kDouble) - aten::matmul(x64, w64.t())).abs();
    EXPECT_LE((error / bound).max().item<double>(), 1) << w->format();
    EXPECT_GE((error / bound).max().item<double>(), 0.01) << w->format();  // the bound is of the right size
  }
}

TEST(PackedLinear, BrokenAndTinyInputs) {
  const auto w = random_packed(GgmlType::kQ5_K, 9, 512, 6);
  const Tensor x = randn({4, 512}, 7).to(at::kFloat);
  x[0].mul_(1e-36);
  x[1][300] = std::numeric_limits<float>::infinity();
  x[2][3] = std::numeric_limits<float>::quiet_NaN();
  const Tensor y = packed_linear(x, *w, 0, 9), want = packed_linear_ref(x, *w, 0, 9);
  EXPECT_TRUE(aten::equal(y[0], aten::zeros({9})));
  EXPECT_TRUE(aten::isnan(y[1]).all().item<bool>() && aten::isnan(y[2]).all().item<bool>());
  EXPECT_TRUE(aten::isnan(want[1]).all().item<bool>() && aten::isnan(want[2]).all().item<bool>());
  EXPECT_TRUE(aten::equal(y[3], want[3]));
}

TEST(PackedLinear, LogProbabilities) {
  const auto head = random_packed(GgmlType::kQ6_K, 300, 256, 8);
  const Tensor x = randn({13, 256}, 9).to(at::kFloat), targets = random_ids(13, 300, 10);
  const Tensor logits = packed_linear_fp32(x, *head, 0, 300);
  const Tensor want = logits.gather(1, targets.unsqueeze(1)).squeeze(1) - aten::logsumexp(logits, {1});
  const Tensor got = packed_logprob(x, *head, targets);
  EXPECT_LE((got - want).abs().max().item<double>(), 1e-5);
  EXPECT_TRUE(aten::equal(packed_logprob(x.narrow(0, 4, 1), *head, targets.narrow(0, 4, 1)), got.narrow(0, 4, 1)));
}

TEST(PackedLinear, SaysWhatItIsAskedWrongly) {
  const auto w = random_packed(GgmlType::kQ8_0, 8, 64, 11);
  const auto error = [](const std::function<void()>& call) -> std::string {
    try {
      call();
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  const Tensor x = aten::zeros({2, 64});
  EXPECT_NE(error([&] { packed_linear(aten::zeros({2, 32}), *w, 0, 8); }).find("expected x [T, 64], got [2, 32]"), std::string::npos);
  EXPECT_NE(error([&] { packed_linear(x, *w, 4, 5); }).find("expected outputs of 8, got [4, 9)"), std::string::npos);
  EXPECT_NE(error([&] { packed_linear(x, *w, 0, 8, aten::zeros({7})); }).find("expected bias [8], got [7]"), std::string::npos);
  EXPECT_NE(error([&] { packed_linear(x.to(at::kDouble), *w, 0, 8); }).find("expected x of fp32 or bf16 on the CPU"), std::string::npos);
  EXPECT_FALSE(has_packed_linear(*tensor::pack_fp8_blocks({tensor::to_fp8_blocks(aten::zeros({4, 4}))}), x));
}

}  // namespace
}  // namespace r1::ops
