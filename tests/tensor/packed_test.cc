// Packed matrices give, row by row, what loading them unpacked gives.
#include "r1/tensor/packed.h"

#include <gtest/gtest.h>

#include <functional>
#include <span>

#include "r1/base/error.h"
#include "r1/base/safetensors_file.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"
#include "tests/base/gguf_builder.h"

namespace r1::tensor {
namespace {

Tensor wave(int64_t rows, int64_t columns, double shift) {
  return ((aten::arange(rows * columns, at::kDouble) + shift).sin() * 3).to(at::kFloat).view({rows, columns});
}

// Some rows of `packed`, block borders and parts' borders among them, against the same rows of `whole`.
void expect_rows(const PackedMatrix& packed, const Tensor& whole) {
  ASSERT_EQ(packed.rows(), whole.size(0));
  ASSERT_EQ(packed.columns(), whole.size(1));
  const int64_t n = packed.rows();
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const auto& [first, count] :
         std::vector<std::pair<int64_t, int64_t>>{{0, n}, {0, 1}, {n / 3, n / 2}, {n / 2, 0}, {n - 1, 1}, {n / 2 - 1, 2}}) {
      const Tensor out = aten::empty({count, packed.columns()}, dtype);
      packed.unpack(first, count, out);
      EXPECT_TRUE(aten::equal(out, whole.narrow(0, first, count).to(dtype)))
          << packed.format() << " " << dtype << " [" << first << ", +" << count;
    }
  }
}

// Scales times codes, which are whole numbers, are the values.
void expect_codes(const PackedMatrix& packed, const Tensor& whole) {
  const int64_t n = packed.rows();
  const BlockCodes codes = packed.codes(1, n - 1);
  const auto times = [&](const Tensor& code_OI, const Tensor& scale_OB) {
    EXPECT_TRUE(aten::equal(code_OI, code_OI.round()));
    return code_OI.to(at::kDouble) * scale_OB.to(at::kDouble).repeat_interleave(codes.elements, 1);
  };
  Tensor values = times(codes.code_OI, codes.scale_OB);
  if (codes.offset_OB.defined()) values = values + times(codes.offset_code_OI, codes.offset_OB);
  const Tensor want = whole.narrow(0, 1, n - 1).to(at::kDouble);
  EXPECT_LE((values - want).abs().max().item<double>(), 1e-6 * want.abs().max().item<double>()) << packed.format();
}

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(PackedMatrix, Fp8BlocksOfSeveralMatrices) {
  for (const int64_t rows : {1, 128, 200, 300}) {
    std::vector<Fp8Blocks> parts;
    std::vector<Tensor> whole;
    for (int part = 0; part < 3; ++part) {
      parts.push_back(to_fp8_blocks(wave(rows, 150, 1000 * part)));
      whole.push_back(aten::empty({rows, 150}, at::kFloat));
      from_fp8_blocks(parts.back(), whole.back());
    }
    const auto packed = pack_fp8_blocks(parts);
    expect_rows(*packed, aten::cat(whole, 0));
    EXPECT_EQ(packed->slots().size(), 6u);
    EXPECT_EQ(packed->bytes(), 3 * ((rows + 15) / 16 * 16 * 150 + (rows + 127) / 128 * 2 * 4));  // the last sixteen rows are filled up
    ASSERT_TRUE(packed->floats(2));
    EXPECT_FALSE(packed->rounds_by_blocks());
  }
}

// A NaN among 8 bit values is unpacked as one, and has no product.
TEST(PackedMatrix, Fp8WithNan) {
  Fp8Blocks blocks = to_fp8_blocks(wave(5, 20, 0));
  static_cast<uint8_t*>(blocks.values_OI.mutable_data_ptr())[27] = 0xFF;
  const auto packed = pack_fp8_blocks({blocks});
  EXPECT_FALSE(packed->has_product());
  const Tensor out = aten::empty({5, 20}, at::kFloat);
  packed->unpack(0, 5, out);
  EXPECT_TRUE(aten::isnan(out[1][7]).item<bool>());
  EXPECT_EQ(aten::isnan(out).sum().item<int64_t>(), 1);
}

TEST(PackedMatrix, FloatsDenseAndTwoOfFour) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf})
    for (const int64_t columns : {12, 100}) {
      const Tensor dense = wave(37, columns, 0).to(dtype), sparse = dense.clone();
      for (int64_t o = 0; o < 37; ++o)
        for (int64_t k = 0; k < columns; ++k)
          if ((k + o) % 4 < 2 || (o == 7 && k % 4 != 3) || o == 8) sparse[o][k] = 0;  // fours with one value, and with none
      EXPECT_FALSE(is_sparse24(dense));
      EXPECT_TRUE(is_sparse24(sparse));
      const auto packed = pack_floats({sparse, sparse}), plain = pack_floats({dense, sparse});
      expect_rows(*packed, aten::cat({sparse, sparse}, 0).to(at::kFloat));
      expect_rows(*plain, aten::cat({dense, sparse}, 0).to(at::kFloat));
      EXPECT_EQ(packed->format().substr(0, 7), "2:4 in ");
      const int64_t size = int64_t(dense.element_size());
      EXPECT_EQ(plain->bytes(), 2 * 48 * columns * size);
      const int64_t stored = 2 * 48 * ((columns + 31) / 32 * 32);
      EXPECT_EQ(packed->bytes(), stored * (4 * size + 1) / 8);  // half the values, two bits for each
    }
  EXPECT_FALSE(is_sparse24(aten::zeros({4, 6})));  // no whole fours
}

TEST(PackedMatrix, EveryGgufType) {
  const SafetensorsFile golden = SafetensorsFile::open(fs::path(R1_SOURCE_DIR) / "tests/golden/gguf_blocks.safetensors");
  for (const auto& [type, name] : std::vector<std::pair<GgmlType, const char*>>{{GgmlType::kQ4_0, "Q4_0"},
                                                                                {GgmlType::kQ4_1, "Q4_1"},
                                                                                {GgmlType::kQ5_0, "Q5_0"},
                                                                                {GgmlType::kQ5_1, "Q5_1"},
                                                                                {GgmlType::kQ8_0, "Q8_0"},
                                                                                {GgmlType::kQ4_K, "Q4_K"},
                                                                                {GgmlType::kQ5_K, "Q5_K"},
                                                                                {GgmlType::kQ6_K, "Q6_K"}}) {
    const SafeTensor *blocks = golden.find(str(name, ".blocks")), *values = golden.find(str(name, ".values"));
    ASSERT_TRUE(blocks && values) << name;
    const auto raw = golden.data(*blocks);
    const std::string bytes = testing::GgufBuilder()
                                  .tensor("w", type, {uint64_t(values->shape[0]), uint64_t(values->shape[1])},
                                          {reinterpret_cast<const char*>(raw.data()), raw.size()})
                                  .bytes();
    const GgufFile file = GgufFile::from_bytes(std::as_bytes(std::span(bytes)), "m.gguf", {});
    const int64_t rows = values->shape[0];
    for (const RowOrder& order : {RowOrder(), RowOrder([rows](int64_t r) { return rows - 1 - r; })}) {
      const auto packed = pack_gguf_tensor(file, *file.find("w"), order);
      ASSERT_TRUE(packed) << name;
      EXPECT_EQ(packed->format(), name);
      EXPECT_EQ(packed->bytes(), int64_t(raw.size()) / rows * ((rows + 7) / 8 * 8)) << name;  // the last group of eight is filled up
      const Tensor whole = read_gguf_tensor(file, *file.find("w"), at::kFloat, order);
      expect_rows(*packed, whole);
      expect_codes(*packed, whole);
    }
  }
}

TEST(PackedMatrix, SaysWhatItIsAskedWrongly) {
  const auto packed = pack_fp8_blocks({to_fp8_blocks(wave(5, 6, 0))});
  EXPECT_NE(error_of([&] { packed->unpack(3, 3, aten::empty({3, 6})); }).find("expected rows of 5, got [3, 6)"), std::string::npos);
  EXPECT_NE(error_of([&] {
              packed->unpack(0, 2, aten::empty({2, 5}));
            }).find("expected a contiguous CPU output [2, 6]"),
            std::string::npos);
  EXPECT_NE(error_of([&] { pack_fp8_blocks({}); }).find("at least one"), std::string::npos);
  EXPECT_NE(error_of([&] {
              pack_fp8_blocks({to_fp8_blocks(wave(5, 6, 0)), to_fp8_blocks(wave(5, 7, 0))});
            }).find("one shape"),
            std::string::npos);
}

}  // namespace
}  // namespace r1::tensor
