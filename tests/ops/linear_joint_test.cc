// Products of a few rows, and several maps as one product.
#include "r1/ops/linear_joint.h"
#include "op_test.h"
#include "r1/ops/linear.h"

namespace r1::ops {
namespace {

// Leaves that lie one below the other in one tensor, but are no views to autograd.
Tensors laid_together(const Tensors& parts) {
  const Tensor all = aten::cat(parts, 0);
  Tensors out;
  int64_t begin = 0;
  for (const Tensor& part : parts) {
    Tensor own = aten::empty({0}, all.options());
    const Tensor place = all.narrow(0, begin, part.size(0));
    own.set_(all.storage(), place.storage_offset(), place.sizes(), place.strides());
    out.push_back(own.requires_grad_());
    begin += part.size(0);
  }
  return out;
}

void test_joint(at::Device device, at::ScalarType type, int64_t tokens, bool biased) {
  const std::vector<int64_t> outs{24, 8, 8};
  Tensors weights, biases;
  for (size_t i = 0; i < outs.size(); ++i) {
    weights.push_back(randn({outs[i], 32}, 10 + i).to(device, type));
    biases.push_back(randn({outs[i]}, 20 + i).to(device, type));
  }
  Tensor x = randn({tokens, 32}, 1).to(device, type).requires_grad_();
  const Tensors w = laid_together(weights), b = biased ? laid_together(biases) : Tensors();
  const JointWeights joint = joint_weights(w, b);
  ASSERT_TRUE(joint.weight_OI.defined());
  const Tensor y = linear_joint(x, joint), dout = randn(y.sizes(), 5).to(device, type);
  Tensors leaves{x};
  leaves.insert(leaves.end(), w.begin(), w.end());
  leaves.insert(leaves.end(), b.begin(), b.end());
  const Tensors got = gradients({y}, {dout}, leaves);

  Tensors wide;
  for (const Tensor& leaf : leaves) wide.push_back(leaf.detach().to(at::kCPU, at::kDouble).requires_grad_());
  JointWeights apart;
  apart.weights.assign(wide.begin() + 1, wide.begin() + 4);
  apart.biases.assign(wide.begin() + 4, wide.end());
  const Tensor expected = linear_joint_ref(wide[0], apart);
  const Tensors want = gradients({expected}, {dout.to(at::kCPU, at::kDouble)}, wide);
  const double tolerance = type == at::kFloat ? 2e-5 : 2e-2;
  EXPECT_LE(distance(y, expected), tolerance) << type << " " << tokens;
  for (size_t i = 0; i < got.size(); ++i) EXPECT_LE(distance(got[i], want[i]), tolerance) << type << " " << tokens << " input " << i;
}

void test_joint(at::Device device) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
    for (const int64_t tokens : {1, 3, 4, 5, 33})
      for (const bool biased : {false, true}) test_joint(device, type, tokens, biased);
}
TEST(LinearJoint, IsTheMapsOneByOne) {
  test_joint(at::kCPU);
}
TEST(LinearJoint, IsTheMapsOneByOneCuda) {
  SKIP_WITHOUT_CUDA();
  test_joint(at::kCUDA);
}

TEST(LinearJoint, SeesWhetherWeightsLieTogether) {
  const Tensors together = laid_together({randn({4, 8}, 1), randn({2, 8}, 2)});
  EXPECT_TRUE(joint_weights(together, {}).weight_OI.defined());
  EXPECT_EQ(joint_weights(together, {}).weight_OI.size(0), 6);
  EXPECT_FALSE(joint_weights({together[1], together[0]}, {}).weight_OI.defined()) << "in another order";
  EXPECT_FALSE(joint_weights({together[0], together[1].clone()}, {}).weight_OI.defined()) << "memory of its own";
  EXPECT_FALSE(joint_weights(together, {randn({4}, 3), randn({2}, 4)}).weight_OI.defined()) << "biases apart";
  EXPECT_THROW(linear_joint(randn({3, 8}, 5), {}), Error);
}

// Every number of rows that has a kernel of its own, and sizes that don't fill a warp, a block or a read.
TEST(Linear, FewRowsEqualTheDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  const c10::NoGradGuard no_grad;
  for (const auto& [in, out] :
       std::vector<std::pair<int64_t, int64_t>>{{8, 1}, {896, 1152}, {4864, 896}, {24, 7001}, {20, 33}, {1032, 5}, {512, 20001}}) {
    const Tensor x5 = randn({5, in}, 1), weight = randn({out, in}, 2), bias = randn({out}, 3);
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const Tensor w = weight.to(type), b = bias.to(type), w_cuda = w.to(at::kCUDA), b_cuda = b.to(at::kCUDA);
      const Tensor wide_w = w.to(at::kDouble), wide_b = b.to(at::kDouble);
      for (const int64_t rows : {1, 2, 3, 4, 5}) {
        const Tensor x = x5.narrow(0, 0, rows).to(type), x_cuda = x.to(at::kCUDA);
        const double tolerance = type == at::kFloat ? 2e-5 : 1e-2;
        EXPECT_LE(distance(linear(x_cuda, w_cuda, b_cuda), linear_ref(x.to(at::kDouble), wide_w, wide_b)), tolerance)
            << type << " " << rows << " " << in << " " << out;
        const Tensor fp32 = linear_fp32(x_cuda, w_cuda);
        EXPECT_EQ(fp32.scalar_type(), at::kFloat);
        EXPECT_LE(distance(fp32, linear_ref(x.to(at::kDouble), wide_w)), 2e-5) << type << " " << rows << " " << in << " " << out;
      }
    }
  }
  // Rows of a wider tensor, and one that begins where 16 bytes do not.
  const Tensor wide = randn({4, 96}, 4).to(at::kCUDA, at::kBFloat16), w = randn({10, 32}, 5).to(at::kCUDA, at::kBFloat16);
  for (const int64_t begin : {0, 8, 1})
    EXPECT_LE(distance(linear(wide.narrow(1, begin, 32), w), linear_ref(wide.narrow(1, begin, 32).to(at::kDouble), w.to(at::kDouble))),
              1e-2)
        << begin;
}

}  // namespace
}  // namespace r1::ops
