#include "r1/tensor/dtype.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"

namespace r1::tensor {
namespace {

TEST(Dtype, NamesAndTheirSpellings) {
  for (const char* name : {"float32", "fp32", "torch.float32"}) EXPECT_EQ(parse_dtype(name), DType::Float);
  for (const char* name : {"bfloat16", "bf16", "torch.bfloat16"}) EXPECT_EQ(parse_dtype(name), DType::BFloat16);
  for (const char* name : {"float16", "fp16", "half"}) EXPECT_EQ(parse_dtype(name), DType::Half);
  for (const DType dtype : {DType::Float, DType::BFloat16, DType::Half}) EXPECT_EQ(parse_dtype(dtype_name(dtype)), dtype);
  EXPECT_EQ(dtype_name(DType::BFloat16), "bfloat16");
  for (const char* name : {"", "auto", "int8", "Float32", "torch."}) {
    try {
      parse_dtype(name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    }
  }
}

TEST(DeviceName, OnlyWhatIsThere) {
  EXPECT_TRUE(parse_device("cpu").is_cpu());
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1000", "cpu:0", "cuda:99", "CUDA"}) {
    try {
      parse_device(name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    }
  }
}

}  // namespace
}  // namespace r1::tensor
