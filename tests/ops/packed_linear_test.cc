// Products with packed weights are their definition, bit for bit, and as near to the exact product as the header says.
#include "r1/ops/packed_linear.h"

#include <cmath>
#include <limits>

#include "op_test.h"
#include "r1/ops/linear.h"
#include "r1/ops/logprob.h"
#include "r1/tensor/integers.h"
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

// Integers as GPTQ, AWQ and int8 have them.
struct IntegerCase {
  const char* what;
  int bits;
  int64_t columns, groups;
  bool scattered;
  InputRounding rounding;
};
const IntegerCase kIntegerCases[] = {
    {"gptq g32", 4, 256, 8, false, InputRounding::kBlock},
    {"gptq desc_act", 4, 256, 2, true, InputRounding::kBlock},
    {"gptq-8", 8, 256, 2, false, InputRounding::kBlock},
    {"whole rows", 4, 200, 1, false, InputRounding::kBlock},
    {"int8-dynamic", 8, 200, 1, false, InputRounding::kRow},
    {"int8-static", 8, 256, 1, false, InputRounding::kFixed},
    {"int4, inputs rounded", 4, 256, 4, false, InputRounding::kRow},
};

std::shared_ptr<const tensor::PackedMatrix> integers(const IntegerCase& c, int64_t rows, int64_t parts) {
  std::vector<tensor::IntegerMatrix> all;
  std::vector<float> scales;
  for (int64_t p = 0; p < parts; ++p) {
    tensor::IntegerMatrix m{.bits = c.bits};
    const auto random = [&](at::IntArrayRef shape, int64_t top, uint64_t seed) {
      return (randn(shape, seed + uint64_t(p)).abs() * 1000).to(at::kLong).remainder(top).to(at::kByte);
    };
    m.codes_OI = random({rows, c.columns}, 1 << c.bits, 21);
    m.zeros_OG = random({rows, c.groups}, c.bits == 4 ? 17 : 256, 31);
    m.scales_OG = randn({rows, c.groups}, 41 + uint64_t(p)).to(at::kFloat) * 0.01;
    if (c.scattered) m.group_of_I = (aten::arange(c.columns) * 5).remainder(c.groups).to(at::kInt);
    all.push_back(m);
    scales.push_back(0.02f + 0.01f * float(p));
  }
  return tensor::pack_integers(std::move(all), c.rounding, scales);
}

TEST(PackedLinear, IntegersAreTheirDefinition) {
  for (const IntegerCase& c : kIntegerCases) {
    const auto w = integers(c, 21, 2);
    const Tensor x = inputs(9, c.columns, 2), bias = randn({21}, 3).to(at::kFloat);
    EXPECT_EQ(w->rounds_inputs(), c.rounding != InputRounding::kBlock) << c.what;
    EXPECT_TRUE(aten::equal(packed_linear(x, *w, 0, 21, bias), packed_linear_ref(x, *w, 0, 21, bias))) << c.what;
    EXPECT_TRUE(aten::equal(packed_linear(x, *w, 24, 12), packed_linear_ref(x, *w, 24, 12))) << c.what;
    const Tensor narrow = x.to(at::kBFloat16);
    EXPECT_TRUE(aten::equal(packed_linear(narrow, *w, 0, 21), packed_linear_ref(narrow, *w, 0, 21).to(at::kBFloat16))) << c.what;
    // across parts: each with its own
    const Tensor both = aten::cat({packed_linear_ref(x, *w, 5, 16), packed_linear_ref(x, *w, 21, 10)}, 1);
    EXPECT_TRUE(aten::equal(packed_linear(x, *w, 5, 26), both)) << c.what;
  }
}

TEST(PackedLinear, IntegersAreWithinTheirBound) {
  for (const IntegerCase& c : kIntegerCases) {
    if (c.rounding == InputRounding::kFixed) continue;  // held to a range
    const auto w = integers(c, 24, 1);
    const Tensor x = inputs(8, c.columns, 5), unpacked = aten::empty({24, c.columns});
    w->unpack(0, 24, unpacked);
    const tensor::BlockCodes codes = w->codes(0, 24);
    const Tensor sorted = codes.order_I.defined() ? codes.order_I : aten::arange(c.columns);
    const int64_t stored = codes.code_OI.size(1), blocks = stored / codes.elements;
    const auto store = [&](const Tensor& t) {
      return aten::cat({t.index_select(1, sorted), aten::zeros({t.size(0), stored - c.columns})}, 1).to(at::kDouble);
    };
    const Tensor x64 = store(x), w64 = store(unpacked);
    Tensor s_TB = x64.view({8, blocks, codes.elements}).abs().amax({2}) / 127;
    // rows round with one scale, whose largest magnitude may be cut by half a step
    if (c.rounding == InputRounding::kRow) s_TB = (x64.abs().amax({1}, true) / 127.5 * 1.01).expand({8, blocks});
    const Tensor rounding = aten::matmul(s_TB / 2, w64.abs().view({24, blocks, codes.elements}).sum({2}).t());
    const Tensor sizes = codes.code_OI.abs().to(at::kDouble) * codes.scale_OB.abs().to(at::kDouble).repeat_interleave(codes.elements, 1);
    const Tensor sums = aten::matmul(x64.abs() + s_TB.repeat_interleave(codes.elements, 1) / 2, sizes.t());
    const Tensor bound = rounding + sums * (0x1p-22 * double(blocks + 2));
    const Tensor error = (packed_linear(x, *w, 0, 24).to(at::kDouble) - aten::matmul(x64, w64.t())).abs();
    EXPECT_LE((error / bound).max().item<double>(), 1) << c.what;
    EXPECT_GE((error / bound).max().item<double>(), 0.01) << c.what;
  }
}

// Inputs rounded by the product are those that are rounded before it.
TEST(PackedLinear, RoundsAsTheFileDeclares) {
  const Tensor x = randn({6, 200}, 50).to(at::kFloat);
  const IntegerCase row{"", 8, 200, 1, false, InputRounding::kRow}, fixed{"", 8, 200, 1, false, InputRounding::kFixed};
  for (const IntegerCase& c : {row, fixed}) {
    const auto w = integers(c, 24, 1);
    const Tensor unpacked = aten::empty({24, 200});
    w->unpack(0, 24, unpacked);
    const Tensor rounded = c.rounding == InputRounding::kRow ? tensor::rounded_inputs(x) : tensor::rounded_inputs(x, double(0.02f));
    const Tensor want = aten::matmul(rounded.to(at::kDouble), unpacked.to(at::kDouble).t());
    EXPECT_LE((packed_linear(x, *w, 0, 24).to(at::kDouble) - want).abs().max().item<double>(), 1e-5 * want.abs().max().item<double>());
  }
}

// Narrow floats and 2:4 are their definition, which is the product of the unpacked matrix.
TEST(PackedLinear, FloatsAreTheUnpackedProduct) {
  Tensor sparse = randn({2 * 21, 100}, 60).to(at::kBFloat16);
  for (int64_t k = 0; k < 100; ++k)
    if (k % 4 < 2) sparse.select(1, k).zero_();
  const Tensor dense = randn({2 * 21, 100}, 61).to(at::kHalf), wide = randn({2 * 21, 300}, 62).to(at::kFloat);
  const auto halves = [](const Tensor& t) { return std::vector<Tensor>{t.narrow(0, 0, 21), t.narrow(0, 21, 21)}; };
  for (const auto& w :
       {tensor::pack_floats(halves(sparse)), tensor::pack_floats(halves(dense)),
        tensor::pack_fp8_blocks({tensor::to_fp8_blocks(wide.narrow(0, 0, 21)), tensor::to_fp8_blocks(wide.narrow(0, 21, 21))})}) {
    const Tensor x = randn({9, w->columns()}, 2).to(at::kFloat), bias = randn({21}, 3).to(at::kFloat),
                 unpacked = aten::empty({42, w->columns()});
    w->unpack(0, 42, unpacked);
    EXPECT_TRUE(aten::equal(packed_linear(x, *w, 0, 21, bias), packed_linear_ref(x, *w, 0, 21, bias))) << w->format();
    EXPECT_TRUE(aten::equal(packed_linear(x, *w, 0, 42), linear(x, unpacked))) << w->format();
    EXPECT_TRUE(aten::equal(packed_linear(x, *w, 15, 20), linear(x, unpacked.narrow(0, 15, 20)))) << w->format();
    const Tensor narrow = x.to(at::kBFloat16);
    EXPECT_TRUE(aten::equal(packed_linear(narrow, *w, 0, 21), packed_linear_ref(narrow, *w, 0, 21).to(at::kBFloat16))) << w->format();
    EXPECT_FALSE(w->rounds_by_blocks());
  }
}

TEST(PackedLinear, JointGivesTheBitsOfEach) {
  const auto a = random_packed(GgmlType::kQ4_K, 24, 256, 1), b = random_packed(GgmlType::kQ6_K, 9, 256, 2);
  const auto c = integers(kIntegerCases[1], 20, 1), d = tensor::pack_floats({randn({17, 256}, 5).to(at::kBFloat16)});
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const int64_t tokens : {1, 7}) {
      const Tensor x = inputs(tokens, 256, 7).to(dtype), bias = randn({9}, 8).to(dtype);
      const std::vector<PackedMap> maps = {{a.get()}, {b.get(), bias}, {a.get()}, {c.get()}, {d.get()}};
      const std::vector<Tensor> y = packed_linear_joint(x, maps);
      ASSERT_EQ(y.size(), maps.size());
      for (size_t i = 0; i < maps.size(); ++i)
        EXPECT_TRUE(aten::equal(y[i], packed_linear(x, *maps[i].weight, 0, maps[i].weight->rows(), maps[i].bias_O))) << i;
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
  // groups of 16 columns, and of uneven sizes
  EXPECT_FALSE(has_packed_linear(*integers({"", 4, 64, 4, false, InputRounding::kBlock}, 8, 1), x));
  tensor::IntegerMatrix uneven{
      .codes_OI = aten::zeros({8, 64}, at::kByte), .scales_OG = aten::ones({8, 2}), .zeros_OG = aten::zeros({8, 2}, at::kByte)};
  uneven.group_of_I = aten::zeros({64}, at::kInt);
  EXPECT_FALSE(has_packed_linear(*tensor::pack_integers({uneven}), x));
}

}  // namespace
}  // namespace r1::ops
