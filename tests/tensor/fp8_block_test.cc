// 8 bit block weights against torch's own cast (tests/oracles/fp8_golden.py), ragged edges, and how far a weight may move.
#include "r1/tensor/fp8_block.h"

#include <gtest/gtest.h>

#include <limits>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"

namespace r1::tensor {
namespace {

Tensor golden(const char* name) {
  static const SafetensorsFile file = SafetensorsFile::open(fs::path(R1_SOURCE_DIR) / "tests/golden/fp8_block.safetensors");
  const SafeTensor* found = file.find(name);
  check(found != nullptr, "golden file has no ", name);
  return read_safetensor(file, *found);
}
Tensor bits(const Tensor& t) {
  return t.view(at::kByte);
}

TEST(Fp8Block, QuantizesAsTorchCasts) {
  const Fp8Blocks made = to_fp8_blocks(golden("weight"));
  EXPECT_TRUE(aten::equal(made.scale_inv_RC, golden("scale_inv")));
  EXPECT_TRUE(aten::equal(bits(made.values_OI), bits(golden("values"))));
  EXPECT_EQ(made.scale_inv_RC[1][1].item<float>(), 1);  // of zeros
}

TEST(Fp8Block, ComesBackAsTorchMultiplies) {
  const Fp8Blocks blocks{golden("values"), golden("scale_inv")};
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const Tensor want = golden("back").to(type), out = aten::empty(want.sizes(), want.options());
    from_fp8_blocks(blocks, out);
    EXPECT_TRUE(aten::equal(out, want)) << type;
  }
}

// A block's values keep 3 bits after the leading one, and nothing moves by more than half a step of the smallest.
TEST(Fp8Block, AWeightMovesLittle) {
  for (const auto& [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{{128, 128}, {1, 1}, {129, 1}, {1, 300}, {257, 127}}) {
    const Tensor weight = aten::randn({rows, columns});
    const Fp8Blocks blocks = to_fp8_blocks(weight);
    EXPECT_EQ(blocks.scale_inv_RC.sizes().vec(), fp8_scale_shape(rows, columns));
    const Tensor back = aten::empty({rows, columns});
    from_fp8_blocks(blocks, back);
    const Tensor allowed = weight.abs() / 16 + blocks.scale_inv_RC.max() * 0x1p-10 * 1.001;
    EXPECT_TRUE(((back - weight).abs() <= allowed).all().item<bool>()) << rows << " x " << columns;
    const Fp8Blocks again = to_fp8_blocks(back);  // what is 8 bit already stays as it is
    EXPECT_TRUE(aten::equal(bits(again.values_OI), bits(blocks.values_OI)));
  }
}

TEST(Fp8Block, OtherDtypesAreRoundedOnce) {
  const Tensor weight = aten::randn({130, 140}).to(at::kBFloat16);
  EXPECT_TRUE(aten::equal(bits(to_fp8_blocks(weight).values_OI), bits(to_fp8_blocks(weight.to(at::kFloat)).values_OI)));
}

TEST(Fp8Block, SaysWhatItExpected) {
  EXPECT_THROW(to_fp8_blocks(aten::zeros({3})), Error);
  EXPECT_THROW(to_fp8_blocks(aten::full({2, 2}, std::numeric_limits<float>::quiet_NaN())), Error);
  const Fp8Blocks blocks = to_fp8_blocks(aten::randn({130, 10}));
  EXPECT_THROW(from_fp8_blocks({blocks.values_OI, aten::zeros({1, 1})}, aten::empty({130, 10})), Error);
  EXPECT_THROW(from_fp8_blocks(blocks, aten::empty({10, 130})), Error);
}

}  // namespace
}  // namespace r1::tensor
