#include "r1/tensor/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"

namespace r1::tensor {
namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / str("r1_tensor_", ::getpid());
  Folder() { make_folder(path); }
  ~Folder() { fs::remove_all(path); }
};

TEST(Safetensor, EveryDtypeComesBackAsItWas) {
  const Folder folder;
  std::vector<Tensor> tensors;
  std::vector<SafeSource> sources;
  for (const DType dtype : {DType::Float, DType::BFloat16, DType::Half, DType::Double, DType::Long, DType::Int, DType::Short, DType::Char,
                            DType::Byte, DType::Bool}) {
    tensors.push_back(aten::arange(6).reshape({2, 3}).to(dtype));
    sources.push_back(safe_source(dtype_name(dtype), tensors.back()));
  }
  tensors.push_back(aten::randn({0, 4}));
  sources.push_back(safe_source("empty", tensors.back()));
  tensors.push_back(aten::randn({}));
  sources.push_back(safe_source("scalar", tensors.back()));
  tensors.push_back(aten::randn({4, 6}).t());
  sources.push_back(safe_source("transposed", tensors.back()));
  write_safetensors(folder.path / "all.safetensors", sources);
  const SafetensorsFile file = SafetensorsFile::open(folder.path / "all.safetensors");
  for (size_t i = 0; i < sources.size(); ++i) {
    const SafeTensor* entry = file.find(sources[i].name);
    ASSERT_TRUE(entry) << sources[i].name;
    const Tensor back = read_safetensor(file, *entry);
    EXPECT_EQ(back.scalar_type(), tensors[i].scalar_type());
    EXPECT_EQ(back.sizes(), tensors[i].sizes());
    EXPECT_TRUE(aten::equal(back, tensors[i])) << sources[i].name;
  }
}

TEST(Safetensor, ConvertsFloatsAndOnlyFloats) {
  const Folder folder;
  const Tensor x = aten::randn({5, 3}), ids = aten::arange(3);
  write_safetensors(folder.path / "m.safetensors", {safe_source("x", x, DType::BFloat16), safe_source("ids", ids)});
  const SafetensorsFile file = SafetensorsFile::open(folder.path / "m.safetensors");
  EXPECT_EQ(file.find("x")->type, SafeType::kBF16);
  EXPECT_TRUE(aten::equal(read_safetensor(file, *file.find("x"), DType::Float), x.to(DType::BFloat16).to(DType::Float)));
  Tensor out = aten::zeros({5, 3});
  read_safetensor_into(file, *file.find("x"), out);
  EXPECT_TRUE(aten::equal(out, x.to(DType::BFloat16).to(DType::Float)));
  EXPECT_THROW(read_safetensor(file, *file.find("ids"), DType::Float), Error);
  Tensor wrong = aten::zeros({3, 5});
  EXPECT_THROW(read_safetensor_into(file, *file.find("x"), wrong), Error);
}

// A header that is no multiple of 8 long: the format allows it, then the data is not aligned.
TEST(Safetensor, ReadsUnalignedData) {
  for (const int pad : {0, 1, 2, 3}) {
    const std::string header = R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})" + std::string(size_t(pad), ' ');
    const uint64_t n = header.size();
    const float values[] = {1.5f, -2.f};
    const std::string bytes =
        std::string(reinterpret_cast<const char*>(&n), 8) + header + std::string(reinterpret_cast<const char*>(values), 8);
    const SafetensorsFile file = SafetensorsFile::from_bytes(std::as_bytes(std::span(bytes)), "m");
    EXPECT_EQ(read_safetensor(file, *file.find("x")).const_data_ptr<float>()[1], -2.f);
  }
}

TEST(Safetensor, TheWriterHoldsOneTensorAtATime) {
  const Folder folder;
  std::vector<std::weak_ptr<int>> alive;
  std::vector<SafeSource> sources;
  int most = 0;
  for (int i = 0; i < 4; ++i) {
    // What a function object makes during the call is gone after it.
    sources.push_back({str("t", i), SafeType::kU8, {1}, [&, held = std::shared_ptr<int>()]() mutable -> std::span<const std::byte> {
                         held = std::make_shared<int>(7);
                         alive.push_back(held);
                         int count = 0;
                         for (const auto& a : alive) count += !a.expired();
                         most = std::max(most, count);
                         return std::as_bytes(std::span(held.get(), 1)).first(1);
                       }});
  }
  write_safetensors(folder.path / "m.safetensors", sources);
  EXPECT_EQ(alive.size(), 4u);
  EXPECT_EQ(most, 1);
}

}  // namespace
}  // namespace r1::tensor
