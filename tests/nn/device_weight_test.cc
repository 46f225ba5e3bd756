// A weight that lies packed on a GPU: its products, logits and rows are those of its unpacked self, and maps of one input multiply jointly.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "r1/nn/joint_linear.h"
#include "r1/ops/device_matrix.h"
#include "r1/tensor/aten.h"
#include "tests/cuda_device.h"

namespace r1::nn {
namespace {

tensor::IntegerMatrix random_integers(int64_t rows, int64_t columns) {
  tensor::IntegerMatrix m;
  m.codes_OI = aten::randint(16, {rows, columns}).to(at::kByte);
  m.scales_OG = (aten::randn({rows, columns / 64}) * 0.02).to(at::kHalf).to(at::kFloat);
  m.zeros_OG = aten::randint(16, {rows, columns / 64}).to(at::kByte);
  return m;
}

std::shared_ptr<const ops::DeviceMatrix> on_gpu(const std::vector<tensor::IntegerMatrix>& parts) {
  std::vector<tensor::GroupedCodes> codes;
  for (const tensor::IntegerMatrix& part : parts) codes.push_back(tensor::grouped_codes(part));
  return ops::to_device(*ops::pack_for_device(codes), at::kCUDA);
}

double distance(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  const Tensor x = a.to(at::kFloat), y = b.to(at::kFloat);
  return (x - y).abs().max().item<double>() / y.abs().max().item<double>();
}

const Placement kGpu{.device = at::kCUDA, .dtype = at::kBFloat16};

TEST(DeviceWeight, IsItsUnpackedSelfCuda) {
  SKIP_WITHOUT_CUDA();
  const at::NoGradGuard no_grad;
  const tensor::IntegerMatrix m = random_integers(192, 256);
  Weight weight({192, 256}, kGpu);
  weight.pack(on_gpu({m}));
  EXPECT_TRUE(weight.packed());
  EXPECT_EQ(weight.format(), "integers of 4 bits");
  EXPECT_LT(weight.packed_bytes(), 192 * 256 * 3 / 4);
  const Tensor plain = tensor::dense(m).to(at::kBFloat16).to(at::kCUDA);
  EXPECT_TRUE(aten::equal(weight.dense(), plain));
  EXPECT_TRUE(aten::equal(weight.rows(30, 70), plain.narrow(0, 30, 70)));
  const Tensor ids = aten::tensor(std::vector<int64_t>{5, 191, 5, 0}).to(at::kCUDA);
  EXPECT_TRUE(aten::equal(weight.lookup(ids), aten::index_select(plain, 0, ids)));
  for (const int64_t rows : {1, 5, 70}) {
    const Tensor x = aten::randn({rows, 256}, at::TensorOptions().device(at::kCUDA).dtype(at::kBFloat16));
    const Tensor want = aten::matmul(x.to(at::kFloat), plain.to(at::kFloat).t());
    EXPECT_LT(distance(weight.product(x), want), 0.01) << rows;
    EXPECT_LT(distance(weight.product(x, 40, 100), want.narrow(1, 40, 100)), 0.01) << rows;
    EXPECT_LT(distance(weight.logits(x), want), 0.006) << rows;
    EXPECT_EQ(weight.logits(x).scalar_type(), at::kFloat);
  }
  weight.make_plain();
  EXPECT_FALSE(weight.packed());
}

TEST(DeviceWeight, ExpertsCuda) {
  SKIP_WITHOUT_CUDA();
  const at::NoGradGuard no_grad;
  const std::vector<tensor::IntegerMatrix> parts{random_integers(40, 128), random_integers(40, 128), random_integers(40, 128)};
  Weight weight({3, 40, 128}, kGpu);
  weight.pack(on_gpu(parts));
  const Tensor x = aten::randn({6, 128}, at::TensorOptions().device(at::kCUDA).dtype(at::kBFloat16));
  for (int64_t e = 0; e < 3; ++e) {
    const Tensor want = aten::matmul(x.to(at::kFloat), tensor::dense(parts[size_t(e)]).to(at::kCUDA).t());
    EXPECT_LT(distance(weight.product(x, e, 1), want), 0.01) << e;
  }
}

TEST(DeviceWeight, MapsOfOneInputAreOneProductCuda) {
  SKIP_WITHOUT_CUDA();
  const at::NoGradGuard no_grad;
  for (const bool bias : {false, true}) {
    Linear a(256, 128, bias, kGpu), b(256, 64, bias, kGpu);
    for (Linear* map : {&a, &b}) {
      map->stored().pack(on_gpu({random_integers(map == &a ? 128 : 64, 256)}));
      if (bias) map->bias().normal_();
    }
    const Tensor x = aten::randn({3, 256}, at::TensorOptions().device(at::kCUDA).dtype(at::kBFloat16));
    const Tensor before = aten::cat({a(x), b(x)}, 1);
    JointLinear joint;
    joint.join({&a, &b});
    ASSERT_TRUE(joint.holds());
    EXPECT_LT(distance(joint(x), before), 0.005);
    EXPECT_LT(distance(aten::cat({a(x), b(x)}, 1), before), 0.005) << "one by one as ever";
    b.stored().pack(on_gpu({random_integers(64, 256)}));
    EXPECT_FALSE(joint.holds());
    // Of rows that are no whole tiles there is no joint matrix, but the outputs side by side all the same.
    Linear c(256, 40, bias, kGpu);
    c.stored().pack(on_gpu({random_integers(40, 256)}));
    if (bias) c.bias().normal_();
    joint.join({&a, &c});
    ASSERT_TRUE(joint.holds());
    EXPECT_TRUE(aten::equal(joint(x), aten::cat({a(x), c(x)}, 1)));
  }
}

}  // namespace
}  // namespace r1::nn
