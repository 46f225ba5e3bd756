#include "r1/tensor/integers.h"

#include <gtest/gtest.h>

#include "r1/base/safetensors_file.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"
#include "tests/message_of.h"

namespace r1::tensor {
namespace {

class Golden {
 public:
  Tensor operator()(const std::string& name) const {
    const SafeTensor* found = file_.find(name);
    check(found != nullptr, "no golden tensor ", name);
    return read_safetensor(file_, *found);
  }

 private:
  SafetensorsFile file_ = SafetensorsFile::open(fs::path(R1_SOURCE_DIR) / "tests/golden/integer_layouts.safetensors");
};

void expect_equal(const Tensor& a, const Tensor& b, const std::string& what) {
  EXPECT_EQ(a.scalar_type(), b.scalar_type()) << what;
  EXPECT_TRUE(a.sizes() == b.sizes() && aten::equal(a, b)) << what;
}

// Both formats of GPTQ, 4 and 8 bits, columns of any group: the values, and the same tensors when they are laid out again.
TEST(Integers, GptqIsThatOfItsMakers) {
  const Golden golden;
  for (const int bits : {4, 8}) {
    for (const bool v2 : {false, true}) {
      const std::string g = str("gptq.", bits, "."), name = str(v2 ? "gptq_v2." : "gptq.", bits);
      const GptqTensors stored{golden(g + "qweight"), golden(name + ".qzeros"), golden(g + "scales"), golden(g + "g_idx")};
      const IntegerMatrix m = from_gptq(stored, bits, v2);
      check_integers(m, name);
      expect_equal(dense(m), golden(g + "values"), name);
      const GptqTensors again = to_gptq(m, v2);
      expect_equal(again.qweight, stored.qweight, name);
      expect_equal(again.qzeros, stored.qzeros, name);
      expect_equal(again.scales, stored.scales, name);
      expect_equal(again.g_idx, stored.g_idx, name);
    }
  }
}

// The one zero point that the first format has no place for: less 1 it is 15, of which its readers make 16. The second has it as it is.
TEST(Integers, GptqsZeroPointOfZero) {
  IntegerMatrix m;
  m.codes_OI = aten::arange(64).remainder(16).to(at::kByte).view({8, 8});
  m.scales_OG = aten::ones({8, 1}, at::kFloat);
  m.zeros_OG = aten::arange(8).to(at::kByte).view({8, 1});  // 0 .. 7
  const GptqTensors second = to_gptq(m, /*v2=*/true);
  EXPECT_TRUE(aten::equal(from_gptq(second, 4, true).zeros_OG, m.zeros_OG));
  EXPECT_NE(message_of([&] { to_gptq(m, /*v2=*/false); }).find("a zero point of 0 has no place"), std::string::npos);
  // Whoever wrote it all the same: the second format's words less 1, 15 for 0.
  GptqTensors first = second;
  first.qzeros = aten::tensor(std::vector<int32_t>{0x6543210f}, at::kInt).view({1, 1});
  const IntegerMatrix read = from_gptq(first, 4, false);
  EXPECT_EQ(read.zeros_OG[0][0].item<int>(), 16);
  EXPECT_TRUE(aten::equal(read.zeros_OG.narrow(0, 1, 7), m.zeros_OG.narrow(0, 1, 7)));
}

TEST(Integers, AwqIsThatOfItsMakers) {
  const Golden golden;
  const AwqTensors stored{golden("awq.qweight"), golden("awq.qzeros"), golden("awq.scales")};
  const IntegerMatrix m = from_awq(stored);
  expect_equal(dense(m), golden("awq.values"), "values");
  const AwqTensors again = to_awq(m);
  expect_equal(again.qweight, stored.qweight, "qweight");
  expect_equal(again.qzeros, stored.qzeros, "qzeros");
  expect_equal(again.scales, stored.scales, "scales");
}

TEST(Integers, PackedIsThatOfCompressedTensors) {
  const Golden golden;
  for (const int bits : {4, 8}) {
    const std::string name = str("packed.", bits);
    const IntegerMatrix m = from_packed_integers(golden(name + ".packed"), golden(name + ".scale"), {}, {}, 64, bits);
    check_integers(m, name);
    EXPECT_LT((dense(m) - golden(name + ".values")).abs().max().item<double>(), 1e-7) << name;
  }
}

TEST(Integers, Int8GoesAndComes) {
  const Tensor weight = aten::randint(256, {6, 20}).sub(128).to(at::kChar), scale = aten::ones({6, 1}, at::kFloat) * 0.5;
  const IntegerMatrix m = from_int8(weight, scale);
  expect_equal(to_int8(m), weight, "codes");
  expect_equal(dense(m), weight.to(at::kFloat) * 0.5, "values");
}

// Packed, it holds half of a byte a weight of 4 bits, and rows come out as they do all together; parts lie one below the other.
TEST(Integers, StaysPacked) {
  const Golden golden;
  const IntegerMatrix m = from_awq({golden("awq.qweight"), golden("awq.qzeros"), golden("awq.scales")});
  const auto packed = pack_integers({m, m});
  EXPECT_EQ(packed->rows(), 32);
  EXPECT_EQ(packed->columns(), 64);
  EXPECT_EQ(packed->bytes(), 2 * (16 * 32 + 16 * 4 * (4 + 1)));
  const Tensor all = dense(m), out = aten::empty({5, 64}, at::kBFloat16);
  packed->unpack(14, 5, out);
  expect_equal(out, aten::cat({all, all}).narrow(0, 14, 5).to(at::kBFloat16), "rows across parts");
}

TEST(Integers, RefusesWhatDoesNotFit) {
  IntegerMatrix m;
  m.codes_OI = aten::zeros({4, 10}, at::kByte);
  m.scales_OG = aten::ones({4, 3}, at::kFloat);
  m.zeros_OG = aten::zeros({4, 3}, at::kByte);
  EXPECT_NE(message_of([&] { check_integers(m, "w"); }).find("w: 10 columns are no 3 equal groups"), std::string::npos);
  m.group_of_I = aten::full({10}, 3, at::kInt);
  EXPECT_NE(message_of([&] { check_integers(m, "w"); }).find("a column's group is 3"), std::string::npos);
  m.group_of_I = aten::zeros({9}, at::kInt);
  EXPECT_NE(message_of([&] { check_integers(m, "w"); }).find("a group for each of 10 columns"), std::string::npos);
}

TEST(Integers, RoundsInputs) {
  const Tensor x = aten::tensor({127.5f, -63.4f, 0.4f, 0.6f, 2.f, -1.f}).view({2, 3});
  expect_equal(rounded_inputs(x).narrow(0, 0, 1), aten::tensor({127.f, -63.f, 0.f}).view({1, 3}), "a scale a row");
  EXPECT_NEAR(rounded_inputs(x)[1][0].item<double>(), 38 * 2. / 127.5, 1e-6);
  const Tensor trained = x.clone().set_requires_grad(true);
  rounded_inputs(trained).sum().backward();
  expect_equal(trained.grad(), aten::ones({2, 3}, at::kFloat), "straight through");
  EXPECT_EQ(rounded_inputs(x, 0.01)[0][0].item<float>(), 1.27f);  // clipped
}

}  // namespace
}  // namespace r1::tensor
