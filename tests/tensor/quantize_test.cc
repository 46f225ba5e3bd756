#include "r1/tensor/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "r1/base/rng.h"
#include "r1/base/safetensors_file.h"
#include "r1/tensor/dequantize.h"

namespace r1::tensor {
namespace {

const fs::path kGolden = fs::path(R1_SOURCE_DIR) / "tests/golden";

constexpr GgmlType kTypes[] = {GgmlType::kQ4_0, GgmlType::kQ4_1, GgmlType::kQ5_0, GgmlType::kQ5_1,
                               GgmlType::kQ8_0, GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K};

std::vector<std::byte> blocks_of(GgmlType type, const std::vector<float>& values, const float* importance = nullptr) {
  const GgmlTypeInfo& info = *ggml_type_info(type);
  std::vector<std::byte> blocks(values.size() / info.block_elements * info.block_bytes);
  quantizer(type)(values.data(), int64_t(values.size()), importance, blocks.data());
  return blocks;
}

std::vector<float> values_of(GgmlType type, const std::vector<std::byte>& blocks, size_t count) {
  std::vector<float> values(count);
  dequantizer(type)(blocks.data(), int64_t(count), values.data());
  return values;
}

std::vector<float> normal(size_t count, uint64_t seed) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    const auto r = philox4x32({uint32_t(i), 0, 0, 0}, {uint32_t(seed), 0});
    double sum = -2;  // of four uniform numbers: bell-shaped enough
    for (const uint32_t draw : r) sum += double(draw) * 0x1p-32;
    values[i] = float(sum);
  }
  return values;
}

double weighted_error(const std::vector<float>& a, const std::vector<float>& b, const float* w) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (w ? double(w[i]) : 1) * (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  return sum;
}

// gguf-py's blocks, bit for bit.
TEST(Quantize, EqualsTheReference) {
  const SafetensorsFile file = SafetensorsFile::open(kGolden / "gguf_quantized.safetensors");
  const auto stored = file.data(*file.find("values"));
  std::vector<float> values(stored.size() / sizeof(float));
  std::memcpy(values.data(), stored.data(), stored.size());
  int checked = 0;
  for (const GgmlType type : kTypes) {
    const SafeTensor* golden = file.find(ggml_type_info(type)->name);
    if (!golden) continue;
    const auto expected = file.data(*golden);
    const std::vector<std::byte> got = blocks_of(type, values);
    ASSERT_EQ(got.size(), expected.size());
    EXPECT_TRUE(std::equal(got.begin(), got.end(), expected.begin())) << golden->name;
    ++checked;
  }
  EXPECT_EQ(checked, 5);
}

// Relative errors of bell-shaped values. The bounds are a fifth above what the formats give here; Q4_K and Q5_K in llama.cpp lie as near.
TEST(Quantize, ErrorIsThatOfTheFormat) {
  const std::vector<float> values = normal(256 * 64, 1);
  const double total = weighted_error(values, std::vector<float>(values.size()), nullptr);
  const double bounds[] = {0.095, 0.085, 0.048, 0.042, 0.0061, 0.080, 0.040, 0.023};
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    const auto back = values_of(kTypes[i], blocks_of(kTypes[i], values), values.size());
    const double error = std::sqrt(weighted_error(values, back, nullptr) / total);
    EXPECT_LT(error, bounds[i]) << ggml_type_info(kTypes[i])->name;
    EXPECT_GT(error, bounds[i] / 2) << ggml_type_info(kTypes[i])->name;
  }
}

// Columns that count more are kept better, and the weighted error falls.
TEST(Quantize, ImportanceCounts) {
  const std::vector<float> values = normal(256 * 16, 2);
  std::vector<float> importance(values.size());
  for (size_t i = 0; i < importance.size(); ++i) importance[i] = i % 7 == 0 ? 50.f : 0.1f;
  for (const GgmlType type : kTypes) {
    const auto plain = values_of(type, blocks_of(type, values), values.size());
    const auto searched = values_of(type, blocks_of(type, values, importance.data()), values.size());
    EXPECT_LT(weighted_error(values, searched, importance.data()), weighted_error(values, plain, importance.data()))
        << ggml_type_info(type)->name;
  }
}

// What is on the grid already comes back: a second quantization changes nothing that counts.
TEST(Quantize, IsStable) {
  const std::vector<float> values = normal(256 * 8, 3);
  for (const GgmlType type : kTypes) {
    const auto once = values_of(type, blocks_of(type, values), values.size());
    const auto twice = values_of(type, blocks_of(type, once), values.size());
    EXPECT_LT(weighted_error(once, twice, nullptr), 0.35 * weighted_error(values, once, nullptr)) << ggml_type_info(type)->name;
  }
}

TEST(Quantize, ZerosAndExtremes) {
  for (const GgmlType type : kTypes) {
    std::vector<float> values(256);
    for (const float value : values_of(type, blocks_of(type, values), 256)) EXPECT_EQ(value, 0) << ggml_type_info(type)->name;
    values[17] = 3;  // one value among zeros, whose importance is none
    std::vector<float> importance(256);
    for (const float* w : {static_cast<const float*>(nullptr), static_cast<const float*>(importance.data())}) {
      const auto back = values_of(type, blocks_of(type, values, w), 256);
      for (const float value : back) EXPECT_TRUE(std::isfinite(value)) << ggml_type_info(type)->name;
      if (!w) {
        EXPECT_NEAR(back[17], 3, 0.1) << ggml_type_info(type)->name;
      }
    }
  }
}

TEST(Quantize, KnowsItsTypes) {
  EXPECT_EQ(quantizer(GgmlType::kF32), nullptr);
  EXPECT_EQ(quantizer(GgmlType::kBF16), nullptr);
}

}  // namespace
}  // namespace r1::tensor
