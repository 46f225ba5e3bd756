// Every quantized form in groups of codes means what unpacking it gives, bit for bit.
#include "r1/tensor/grouped_codes.h"

#include <gtest/gtest.h>

#include <numeric>

#include "r1/tensor/aten.h"
#include "random_packed.h"

namespace r1::tensor {
namespace {

TEST(GroupedCodes, OfGgufBlocks) {
  for (const GgmlType type : kPackedTypes) {
    const std::string bytes = random_gguf(type, 11, 768, 3);
    const GgufFile file = GgufFile::from_bytes(std::as_bytes(std::span(bytes)), "m.gguf", {});
    const auto packed = pack_gguf_tensor(file, *file.find("w"));
    const Tensor want = aten::empty({11, 768});
    packed->unpack(0, 11, want);
    const GroupedCodes codes = grouped_codes(file, *file.find("w"));
    EXPECT_TRUE(aten::equal(dense(codes), want)) << packed->format();
    EXPECT_EQ(codes.format, packed->format());
    const GroupedCodes turned = grouped_codes(file, *file.find("w"), [](int64_t row) { return (row + 4) % 11; });
    EXPECT_TRUE(aten::equal(dense(turned)[0], want[4])) << packed->format();
  }
}

IntegerMatrix random_integers(int bits, int64_t rows, int64_t columns, int64_t groups, bool symmetric) {
  IntegerMatrix m;
  m.bits = bits;
  m.codes_OI = aten::randint(1 << bits, {rows, columns}).to(at::kByte);
  m.scales_OG = (aten::randn({rows, groups}) * 0.1).to(at::kHalf).to(at::kFloat);
  m.zeros_OG = symmetric ? aten::full({rows, groups}, 1 << (bits - 1), at::kByte) : aten::randint(1 << bits, {rows, groups}).to(at::kByte);
  return m;
}

TEST(GroupedCodes, OfIntegers) {
  for (const int bits : {4, 8})
    for (const bool symmetric : {true, false})
      for (const int64_t groups : {1, 3}) {
        const IntegerMatrix m = random_integers(bits, 9, 96, groups, symmetric);
        const GroupedCodes codes = grouped_codes(m);
        EXPECT_TRUE(aten::equal(dense(codes), dense(m)));
        EXPECT_EQ(codes.zero_OG.defined(), !symmetric);
        EXPECT_EQ(codes.group, 96 / groups);
      }
}

TEST(GroupedCodes, GroupsOutOfOrderAreSorted) {
  IntegerMatrix m = random_integers(4, 8, 64, 2, false);
  std::vector<int32_t> group_of(64);
  for (int i = 0; i < 64; ++i) group_of[size_t(i)] = i * 7 % 64 / 32;
  m.group_of_I = aten::tensor(group_of, at::kInt);
  const GroupedCodes codes = grouped_codes(m);
  ASSERT_TRUE(codes.order_I.defined());
  EXPECT_TRUE(aten::equal(dense(codes), dense(m)));
  group_of[0] = 1 - group_of[0];  // not of one size any more
  m.group_of_I = aten::tensor(group_of, at::kInt);
  EXPECT_FALSE(grouped_codes(m).code_OI.defined());
}

TEST(GroupedCodes, OfFp8Blocks) {
  const Fp8Blocks blocks = to_fp8_blocks(aten::randn({200, 300}));
  const Tensor want = aten::empty({200, 300});
  from_fp8_blocks(blocks, want);
  EXPECT_TRUE(aten::equal(dense(grouped_codes(blocks)), want));
}

}  // namespace
}  // namespace r1::tensor
