#include "r1/tensor/gguf.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "r1/base/error.h"
#include "r1/base/json.h"
#include "r1/base/safetensors_file.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"
#include "tests/base/gguf_builder.h"

namespace r1::tensor {
namespace {

using testing::GgufBuilder;

const fs::path kGolden = fs::path(R1_SOURCE_DIR) / "tests/golden";

GgufFile parse(const std::string& bytes) {
  return GgufFile::from_bytes(std::as_bytes(std::span(bytes)), "model.gguf", {});
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Every format against gguf-py, bit for bit; bfloat16 and float16 are the rounded fp32 values.
TEST(GgufTensor, EqualsTheReference) {
  const SafetensorsFile golden = SafetensorsFile::open(kGolden / "gguf_blocks.safetensors");
  const std::pair<GgmlType, const char*> types[] = {{GgmlType::kF16, "F16"},   {GgmlType::kBF16, "BF16"}, {GgmlType::kQ4_0, "Q4_0"},
                                                    {GgmlType::kQ4_1, "Q4_1"}, {GgmlType::kQ5_0, "Q5_0"}, {GgmlType::kQ5_1, "Q5_1"},
                                                    {GgmlType::kQ8_0, "Q8_0"}, {GgmlType::kQ4_K, "Q4_K"}, {GgmlType::kQ5_K, "Q5_K"},
                                                    {GgmlType::kQ6_K, "Q6_K"}};
  for (const auto& [type, name] : types) {
    SCOPED_TRACE(name);
    const SafeTensor *blocks = golden.find(str(name, ".blocks")), *values = golden.find(str(name, ".values"));
    ASSERT_TRUE(blocks && values);
    const auto raw = golden.data(*blocks);
    const std::string file_bytes = GgufBuilder()
                                       .tensor("w", type, {uint64_t(values->shape[0]), uint64_t(values->shape[1])},
                                               {reinterpret_cast<const char*>(raw.data()), raw.size()})
                                       .bytes();
    const GgufFile file = parse(file_bytes);
    const Tensor expected = read_safetensor(golden, *values), got = read_gguf_tensor(file, *file.find("w"), DType::Float);
    EXPECT_EQ(std::memcmp(expected.const_data_ptr(), got.const_data_ptr(), expected.nbytes()), 0);
    for (const DType dtype : {DType::BFloat16, DType::Half}) {
      EXPECT_TRUE(aten::equal(read_gguf_tensor(file, *file.find("w"), dtype), expected.to(dtype)));
    }
  }
}

TEST(GgufTensor, RowsInAnotherOrder) {
  const std::string bytes = GgufBuilder().tensor("w", GgmlType::kF32, {3, 2}, bytes_of<float>({0, 1, 2, 3, 4, 5})).bytes();
  const GgufFile file = parse(bytes);
  const Tensor w = read_gguf_tensor(file, *file.find("w"), DType::Float, [](int64_t r) { return 2 - r; });
  const float* at = w.const_data_ptr<float>();
  EXPECT_EQ(std::vector<float>(at, at + 6), (std::vector<float>{4, 5, 2, 3, 0, 1}));
  const std::string vector = GgufBuilder().tensor("b", GgmlType::kF32, {3}, bytes_of<float>({0, 1, 2})).bytes();
  const GgufFile bias = parse(vector);
  const Tensor b = read_gguf_tensor(bias, *bias.find("b"), DType::Float, [](int64_t r) { return 2 - r; });
  EXPECT_EQ(b.const_data_ptr<float>()[0], 2.f);
}

// Rows longer than the conversion buffer, by whole and broken stretches.
TEST(GgufTensor, LongRowsInBfloat16) {
  for (const int64_t width : {2048, 2049, 5000}) {
    std::vector<float> values(size_t(2 * width));
    for (size_t i = 0; i < values.size(); ++i) values[i] = float(i) * 1.25f;
    const std::string bytes = GgufBuilder().tensor("w", GgmlType::kF32, {2, uint64_t(width)}, bytes_of(values)).bytes();
    const GgufFile file = parse(bytes);
    EXPECT_TRUE(aten::equal(read_gguf_tensor(file, *file.find("w"), DType::BFloat16),
                            read_gguf_tensor(file, *file.find("w"), DType::Float).to(DType::BFloat16)));
  }
}

TEST(GgufTensor, NamesTheTypeAndTensorItCannotRead) {
  const std::string bytes =
      GgufBuilder().tensor("blk.0.w", GgmlType{20}, {32}, std::string(18, 'x')).tensor("ints", GgmlType{26}, {1}, "abcd").bytes();
  const GgufFile file = parse(bytes);
  EXPECT_EQ(error_of([&] {
              read_gguf_tensor(file, *file.find("blk.0.w"), DType::Float);
            }).rfind("model.gguf: tensor 'blk.0.w' has type IQ4_NL, which is not supported", 0),
            0u);
  EXPECT_NE(error_of([&] { read_gguf_tensor(file, *file.find("ints"), DType::Float); }).find("type I32"), std::string::npos);
}

TEST(GgufTensor, ChecksItsDestination) {
  const std::string bytes = GgufBuilder().tensor("w", GgmlType::kF32, {2}, "abcdefgh").bytes();
  const GgufFile file = parse(bytes);
  EXPECT_NE(error_of([&] { read_gguf_tensor_into(file, *file.find("w"), aten::empty({3})); }).find("expected a contiguous CPU tensor"),
            std::string::npos);
  EXPECT_NE(error_of([&] { read_gguf_tensor_into(file, *file.find("w"), aten::empty({2}, at::kLong)); }).find("expected float32"),
            std::string::npos);
}

TEST(GgufTensor, EmptyAndScalarTensors) {
  const std::string bytes =
      GgufBuilder().tensor("none", GgmlType::kF32, {0, 3}, "").tensor("one", GgmlType::kF32, {}, bytes_of<float>({2.5f})).bytes();
  const GgufFile file = parse(bytes);
  EXPECT_EQ(read_gguf_tensor(file, *file.find("none"), DType::Float).numel(), 0);
  EXPECT_EQ(read_gguf_tensor(file, *file.find("one"), DType::Float).const_data_ptr<float>()[0], 2.5f);
}

TEST(GgufTensor, RealFilesEqualTheReference) {
  const char *folder = std::getenv("R1_MODELS"), *home = std::getenv("HOME");
  const fs::path models = folder ? fs::path(folder) : fs::path(home ? home : "/") / ".cache/r1/models";
  const Json golden = parse_json_file(kGolden / "gguf_files.json");
  for (const auto& [name, tensors] : golden.items()) {
    if (!fs::exists(models / name)) GTEST_SKIP() << name << " is not in " << models << " (set R1_MODELS)";
    const GgufFile file = GgufFile::open(models / name);
    for (const auto& [tensor, fact] : tensors.items()) {
      ASSERT_TRUE(file.find(tensor)) << tensor;
      const Tensor values = read_gguf_tensor(file, *file.find(tensor), DType::Float);
      const std::string hash = sha256(std::span(static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()));
      EXPECT_EQ(hash.substr(0, 16), fact[1].get<std::string>()) << name << " " << tensor << " " << fact[0];
    }
  }
}

}  // namespace
}  // namespace r1::tensor
