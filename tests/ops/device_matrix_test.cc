// Quantized weights on a GPU: the layout is what the tensor cores want (by PTX's words, on the CPU), holds what was put in, and products with it
// are their definition within the header's bound.
#include "r1/ops/device_matrix.h"

#include <cmath>
#include <limits>
#include <set>
#include <span>

#include "op_test.h"
#include "r1/ops/linear.h"
#include "tests/tensor/random_packed.h"

namespace r1::ops {
namespace {

using kernels::cuda::PackedCodes;
using kernels::cuda::PackedLayout;
using kernels::cuda::PackedShift;
using tensor::GroupedCodes;
using tensor::kPackedTypes;

GroupedCodes gguf_codes(GgmlType type, int64_t rows, int64_t columns, uint64_t seed) {
  const std::string bytes = tensor::random_gguf(type, rows, columns, seed);
  const GgufFile file = GgufFile::from_bytes(std::as_bytes(std::span(bytes)), "m.gguf", {});
  return tensor::grouped_codes(file, *file.find("w"));
}

GroupedCodes integer_codes(int bits, int64_t rows, int64_t columns, int64_t group, bool symmetric, bool shuffled = false) {
  tensor::IntegerMatrix m;
  const int64_t groups = columns / group;
  m.bits = bits;
  m.codes_OI = random_ids(rows * columns, 1 << bits, 1).view({rows, columns}).to(at::kByte);
  m.scales_OG = (randn({rows, groups}, 2) * 0.02).to(at::kHalf).to(at::kFloat);
  m.zeros_OG = symmetric ? aten::full({rows, groups}, 1 << (bits - 1), at::kByte)
                         : random_ids(rows * groups, 1 << bits, 3).view({rows, groups}).to(at::kByte);
  if (shuffled) {
    std::vector<int32_t> group_of(static_cast<size_t>(columns));
    for (int64_t i = 0; i < columns; ++i) group_of[size_t(i)] = int32_t(i * 37 % columns / group);
    m.group_of_I = aten::tensor(group_of, at::kInt);
  }
  return tensor::grouped_codes(m);
}

GroupedCodes fp8_codes(int64_t rows, int64_t columns) {
  return tensor::grouped_codes(tensor::to_fp8_blocks(randn({rows, columns}, 7).to(at::kFloat)));
}

struct Form {
  const char* name;
  GroupedCodes codes;
};
std::vector<Form> all_forms(int64_t rows) {
  std::vector<Form> forms;
  for (const GgmlType type : kPackedTypes) {
    GroupedCodes codes = gguf_codes(type, rows, 768, 5);
    const char* name = ggml_type_info(type)->name;
    forms.push_back({name, std::move(codes)});
  }
  forms.push_back({"int4 g128", integer_codes(4, rows, 1152, 128, false)});
  forms.push_back({"int4 g64 symmetric", integer_codes(4, rows, 320, 64, true)});
  forms.push_back({"int4 g32", integer_codes(4, rows, 352, 32, false)});
  forms.push_back({"int4 g32 symmetric", integer_codes(4, rows, 96, 32, true)});
  forms.push_back({"int4 rows", integer_codes(4, rows, 200, 200, false)});
  forms.push_back({"int4 g128 by activation", integer_codes(4, rows, 512, 128, false, true)});
  forms.push_back({"int8 rows", integer_codes(8, rows, 584, 584, true)});
  forms.push_back({"int8 g128", integer_codes(8, rows, 256, 128, false)});
  forms.push_back({"fp8", fp8_codes(rows, 456)});
  return forms;
}

TEST(PackedLayout, EveryCodeAndScaleHasItsPlace) {
  for (const PackedCodes codes : {PackedCodes::kInt4, PackedCodes::kInt8})
    for (const int64_t group : {16, 32, 64, 192}) {
      const PackedLayout l{.codes = codes, .shift = PackedShift::kZero, .rows = 70, .columns = 136, .group = group};
      std::set<int64_t> bits, places;
      for (int64_t r = 0; r < 128; ++r) {
        for (int64_t i = 0; i < 192; ++i) EXPECT_TRUE(bits.insert(l.code_bit(r, i)).second);
        for (int64_t g = 0; g < l.groups(); ++g) EXPECT_TRUE(places.insert(l.scale_place(r, g)).second);
      }
      EXPECT_EQ(*bits.rbegin() + l.code_bits(), 8 * l.code_bytes());
      EXPECT_EQ(*places.rbegin() + l.scale_numbers(), l.scale_count());
    }
}

// What a lane loads and widens is its part of matrix A: register p of step k has rows l / 4 + 8 (p % 2) and columns 2 (l % 4) + 8 (p / 2) and one
// more, the first in the lower half (PTX ISA, wgmma's A in registers).
TEST(PackedLayout, IsTheTensorCoresFragment) {
  for (const PackedCodes codes : {PackedCodes::kInt4, PackedCodes::kInt8}) {
    const PackedLayout l{.codes = codes, .shift = PackedShift::kNone, .rows = 128, .columns = 192, .group = 64};
    const int loads = codes == PackedCodes::kInt4 ? 1 : 2;
    for (int64_t tile_row = 0; tile_row < 2; ++tile_row)
      for (int64_t tile = 0; tile < 3; ++tile)
        for (int64_t warp = 0; warp < 4; ++warp)
          for (int64_t lane = 0; lane < 32; ++lane)
            for (int64_t step = 0; step < 4; ++step)
              for (int64_t part = 0; part < 4; ++part)
                for (int64_t second = 0; second < 2; ++second) {
                  const int64_t row = tile_row * 64 + warp * 16 + lane / 4 + 8 * (part % 2);
                  const int64_t column = tile * 64 + step * 16 + 2 * (lane % 4) + 8 * (part / 2) + second;
                  const int64_t base = ((tile_row * 3 + tile) * 4 + warp) * loads * 32 + lane;  // in 16 bytes
                  const int64_t want = codes == PackedCodes::kInt4
                                           ? base * 128 + step * 32 + 4 * part + 16 * second
                                           : (base + step / 2 * 32) * 128 + (step % 2 * 2 + part / 2) * 32 + 8 * (part % 2) + 16 * second;
                  ASSERT_EQ(l.code_bit(row, column), want);
                }
  }
}

TEST(DeviceMatrix, HoldsWhatWasPutIn) {
  for (const int64_t rows : {1, 64, 75})
    for (const auto& [name, codes] : all_forms(rows)) {
      const auto matrix = pack_for_device({codes});
      ASSERT_TRUE(matrix) << name;
      const Tensor got = unpack_ref(*matrix), want = tensor::dense(codes);
      if (codes.format.find("_K") == std::string::npos) {
        EXPECT_TRUE(aten::equal(got, want)) << name;
      } else {  // scales rounded to fp16
        EXPECT_LE((got - want).abs().max().item<double>(), 0x1p-10 * want.abs().max().item<double>()) << name;
      }
      EXPECT_EQ(matrix->format(), codes.format);
    }
}

TEST(DeviceMatrix, ExpertsLieBelowOneAnother) {
  const GroupedCodes a = integer_codes(4, 40, 256, 128, false), b = gguf_codes(GgmlType::kQ8_0, 40, 256, 1);
  const auto matrix = pack_for_device({a, a, a});
  ASSERT_TRUE(matrix);
  EXPECT_EQ(matrix->rows(), 120);
  EXPECT_TRUE(aten::equal(unpack_ref(*matrix).narrow(0, 80, 40), tensor::dense(a)));
  EXPECT_FALSE(pack_for_device({a, b}));
}

TEST(DeviceMatrix, WhatHasNoProductIsRefused) {
  GroupedCodes codes = integer_codes(4, 8, 256, 128, false);
  codes.scale_OG[0][0] = 0.1f;  // not in fp16
  EXPECT_FALSE(pack_for_device({codes}));
  codes.scale_OG[0][0] = 1e6f;
  EXPECT_FALSE(pack_for_device({codes}));
  EXPECT_FALSE(pack_for_device({integer_codes(4, 8, 144, 48, false)})) << "groups of 48";
  EXPECT_FALSE(pack_for_device({integer_codes(8, 8, 100, 100, true)})) << "columns of no whole 16 bytes";
  GroupedCodes fp8 = fp8_codes(8, 128);
  fp8.code_OI[3][5] = 0xFF;
  EXPECT_FALSE(pack_for_device({fp8})) << "NaN";
}

TEST(DeviceMatrix, JoinedPartsAreTheSame) {
  const auto a = pack_for_device({integer_codes(4, 128, 256, 128, false)}), b = pack_for_device({integer_codes(4, 64, 256, 128, false)});
  const JointDeviceMatrix both = join({a, b});
  ASSERT_TRUE(both.joint);
  EXPECT_TRUE(aten::equal(unpack_ref(*both.joint), aten::cat({unpack_ref(*a), unpack_ref(*b)})));
  EXPECT_TRUE(aten::equal(unpack_ref(*both.parts[1]), unpack_ref(*b)));
  EXPECT_FALSE(join({a, pack_for_device({integer_codes(8, 64, 256, 128, false)})}).joint) << "another form";
  EXPECT_FALSE(join({pack_for_device({integer_codes(4, 40, 256, 128, false)}), a}).joint) << "no whole tiles";
}

// |error| of an fp32 product by the header's bound: beyond kExactRows rows of the weights rounded to bf16.
void expect_product(const DeviceMatrix& weight, const Tensor& x, int64_t first, int64_t count, const std::string& what) {
  const Tensor got = device_linear(x, weight, first, count, {}, at::kFloat).to(at::kCPU).to(at::kDouble);
  const Tensor whole = unpack_ref(weight).narrow(0, first, count), x64 = x.to(at::kCPU).to(at::kDouble);
  const Tensor w = (x.size(0) > kExactRows ? whole.to(at::kBFloat16) : whole).to(at::kDouble);
  const Tensor want = aten::matmul(x64, w.t());
  // The codes' own sizes are beyond w's where an offset takes them back: twice the scale times 16 (or 256) covers them.
  const Tensor wide = w.abs() + w.abs().amax(1, true) * 2;
  const double fp32 = 0x1p-20 * double(x.size(1) / 16 + 16),
               rounded = x.size(0) > kExactRows && weight.layout().shift == kernels::cuda::PackedShift::kOffset ? 0x1p-8 : 0;
  const Tensor bound = aten::matmul(x64.abs(), wide.t()) * (fp32 + rounded);
  ASSERT_EQ(got.sizes(), want.sizes()) << what;
  EXPECT_LE(((got - want).abs() / (bound + 1e-30)).max().item<double>(), 1) << what;
}

TEST(DeviceMatrix, ProductsAreTheirDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  for (const int64_t rows : {64, 75, 333})
    for (const auto& [name, codes] : all_forms(rows)) {
      const auto weight = to_device(*pack_for_device({codes}), at::kCUDA);
      for (const int64_t tokens : {int64_t{1}, int64_t{3}, int64_t{8}, int64_t{9}, int64_t{16}, int64_t{31}, int64_t{64}, int64_t{65},
                                   int64_t{130}, int64_t{300}, kUnpackRows - 1, kUnpackRows}) {
        if (tokens > 300 && rows != 333) continue;
        const Tensor x = randn({tokens, weight->columns()}, uint64_t(tokens)).to(at::kBFloat16).to(at::kCUDA);
        expect_product(*weight, x, 0, rows, str(name, ", ", rows, " rows, ", tokens, " tokens"));
        if (rows == 333) expect_product(*weight, x, 70, 129, str(name, ", outputs from 70, ", tokens, " tokens"));
      }
    }
}

TEST(DeviceMatrix, BiasRoundingAndRepetitionCuda) {
  SKIP_WITHOUT_CUDA();
  const auto weight = to_device(*pack_for_device({integer_codes(4, 333, 1152, 128, false)}), at::kCUDA);
  const Tensor bias = randn({333}, 4).to(at::kBFloat16).to(at::kCUDA);
  for (const int64_t tokens : {1, 17, 64, 130, 1100}) {
    const double least = tokens < kUnpackRows ? 0x1p-8 : 0x1p-6;  // cuBLAS may sum parts in bf16 (device_matrix.h)
    const Tensor x = randn({tokens, 1152}, 9).to(at::kBFloat16).to(at::kCUDA);
    const Tensor exact = device_linear(x, *weight, 0, 333, {}, at::kFloat), got = device_linear(x, *weight, 0, 333, bias);
    EXPECT_LE(distance(got, exact + bias), least) << tokens;
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(aten::equal(device_linear(x, *weight, 0, 333, {}, at::kFloat), exact)) << tokens;
    EXPECT_LE(distance(device_linear(x, *weight, 70, 100, bias.narrow(0, 70, 100)), (exact + bias).narrow(1, 70, 100)), 2 * least)
        << tokens;
  }
}

TEST(DeviceMatrix, ATokensNanIsItsOwnCuda) {
  SKIP_WITHOUT_CUDA();
  const auto weight = to_device(*pack_for_device({integer_codes(4, 128, 512, 128, false)}), at::kCUDA);
  for (const int64_t tokens : {5, 40}) {
    const Tensor x = randn({tokens, 512}, 9).to(at::kBFloat16).to(at::kCUDA);
    x[3][100] = std::numeric_limits<double>::quiet_NaN();
    const Tensor nan_TO = aten::isnan(device_linear(x, *weight, 0, 128));
    EXPECT_TRUE(nan_TO[3].all().item<bool>());
    EXPECT_EQ(nan_TO.sum().item<int64_t>(), 128) << tokens;
  }
}

TEST(DeviceMatrix, RowsAreUnpackedCuda) {
  SKIP_WITHOUT_CUDA();
  for (const auto& [name, codes] : all_forms(75)) {
    const auto host = pack_for_device({codes});
    const auto weight = to_device(*host, at::kCUDA);
    const Tensor want = unpack_ref(*host), ids = random_ids(20, 75, 3);
    EXPECT_TRUE(aten::equal(unpack_rows(*weight, 3, 70, at::kFloat).to(at::kCPU), want.narrow(0, 3, 70))) << name;
    for (const auto& [first, count] : std::vector<std::pair<int64_t, int64_t>>{{0, 75}, {0, 64}, {64, 11}, {5, 66}})
      EXPECT_TRUE(
          aten::equal(unpack_rows(*weight, first, count, at::kBFloat16).to(at::kCPU), want.narrow(0, first, count).to(at::kBFloat16)))
          << name << " from " << first;
    EXPECT_TRUE(aten::equal(unpack_rows(*weight, ids.to(at::kCUDA), at::kBFloat16).to(at::kCPU),
                            aten::index_select(want, 0, ids).to(at::kBFloat16)))
        << name;
  }
}

TEST(DeviceMatrix, WrongInputsAreRefusedCuda) {
  SKIP_WITHOUT_CUDA();
  const auto weight = to_device(*pack_for_device({integer_codes(4, 128, 512, 128, false)}), at::kCUDA);
  const Tensor x = aten::zeros({2, 512}, at::TensorOptions().device(at::kCUDA).dtype(at::kBFloat16));
  EXPECT_THROW(device_linear(x.to(at::kFloat), *weight, 0, 128), Error);
  EXPECT_THROW(device_linear(x.narrow(1, 0, 256), *weight, 0, 128), Error);
  EXPECT_THROW(device_linear(x, *weight, 64, 128), Error);
  EXPECT_EQ(device_linear(x.narrow(0, 0, 0), *weight, 0, 128).sizes(), at::IntArrayRef({0, 128}));
}

}  // namespace
}  // namespace r1::ops
