// Sparse neurons: the choice, the training form against its definition, and the road that leaves weights unread against the dense one.
#include "r1/ops/topk_sparse.h"

#include <ATen/Parallel.h>

#include "op_test.h"
#include "r1/ops/linear.h"
#include "r1/ops/linear_in.h"
#include "r1/ops/swiglu.h"
#include "r1/tensor/aten.h"

namespace r1::ops {
namespace {

// The training form, as nn/sparse_mlp puts it together.
Tensor dense_form(const Tensor& x, const SparseMlpWeights& w, int64_t keep) {
  const Tensor gate = linear_ordered(x, w.gate_FD);
  return linear_in(swiglu(gate, linear_ordered(x, w.up_FD)) * topk_mask(gate, keep), w.down_FD);
}

TEST(TopkMask, KeepsTheLargest) {
  // silu: 0.73, -0.07, 0, 2.86, -0.28 (the strongest negative one), 0.73
  const Tensor gate = aten::tensor({1.0f, -4.0f, 0.0f, 3.0f, -1.28f, 1.0f}).view({1, 6});
  EXPECT_TRUE(
      aten::equal(topk_mask(gate, 2), aten::tensor({1.0f, 0.0f, 0.0f, 1.0f, 0.0f, 0.0f}).view({1, 6})));  // the tie: the lower index
  EXPECT_TRUE(aten::equal(topk_mask(gate, 4), aten::tensor({1.0f, 0.0f, 0.0f, 1.0f, 1.0f, 1.0f}).view({1, 6})));
  EXPECT_EQ(topk_mask(gate, 0).sum().item<float>(), 0.0f);
  EXPECT_EQ(topk_mask(gate, 6).sum().item<float>(), 6.0f);
  EXPECT_THROW(topk_mask(gate, 7), Error);
}

TEST(TopkMask, EqualsItsDefinition) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const Tensor gate = (randn({50, 77}, 1) * 2).to(type);  // in bf16 ties are common
    for (const int64_t keep : {1, 20, 76}) {
      const Tensor mask = topk_mask(gate, keep);
      EXPECT_EQ(mask.sum(1).min().item<double>(), double(keep)) << type;
      EXPECT_LE(distance(mask, topk_mask_ref(gate.to(at::kFloat), keep)), 0.0) << type << " keep " << keep;
    }
  }
}

void test_linear_in(at::Device device) {
  expect_op_equals_ref([](const Tensors& t) { return linear_in(t[0], t[1]); }, [](const Tensors& t) { return linear_in_ref(t[0], t[1]); },
                       {randn({37, 48}, 1), randn({48, 29}, 2)}, device);
}
TEST(LinearIn, EqualsItsDefinition) {
  test_linear_in(at::kCPU);
}
TEST(LinearIn, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_linear_in(at::kCUDA);
}
TEST(LinearIn, HasTheBitsOfLinear) {
  const c10::NoGradGuard no_grad;
  const Tensor x = randn({9, 700}, 1).to(at::kFloat), w = randn({700, 33}, 2).to(at::kFloat);
  EXPECT_TRUE(aten::equal(linear_in(x, w), linear(x, w.t().contiguous())));
  EXPECT_TRUE(aten::equal(linear_in(x.narrow(0, 3, 1), w), linear_in(x, w).narrow(0, 3, 1)));
  EXPECT_THROW(linear_in(x, w.t()), Error);
}
TEST(LinearIn, Bf16RowsDoNotDependOnTheirNumberOrOnZeros) {
  const c10::NoGradGuard no_grad;
  const Tensor x = randn({40, 301}, 1).to(at::kBFloat16), w = randn({301, 33}, 2).to(at::kBFloat16), all = linear_in(x, w);
  for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 1}, {7, 3}, {1, 20}})
    EXPECT_TRUE(aten::equal(linear_in(x.narrow(0, first, count), w), all.narrow(0, first, count))) << first << "+" << count;
  Tensor holes = x.clone(), garbage = w.clone();
  holes.narrow(1, 100, 90).zero_();
  garbage.narrow(0, 100, 90).fill_(3e38);
  EXPECT_TRUE(aten::equal(linear_in(holes, w), linear_in(holes, garbage)));
}

void test_linear_ordered(at::Device device) {
  expect_op_equals_ref([](const Tensors& t) { return linear_ordered(t[0], t[1]); }, [](const Tensors& t) { return linear_ref(t[0], t[1]); },
                       {randn({37, 48}, 1), randn({29, 48}, 2)}, device);
}
TEST(LinearOrdered, EqualsItsDefinition) {
  test_linear_ordered(at::kCPU);
}
TEST(LinearOrdered, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_linear_ordered(at::kCUDA);
}
TEST(LinearOrdered, RowsAndOutputsKnowNothingOfEachOther) {
  const c10::NoGradGuard no_grad;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const Tensor x = randn({40, 48}, 1).to(type), w = randn({80, 48}, 2).to(type), all = linear_ordered(x, w);
    for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 1}, {7, 3}, {1, 20}}) {
      EXPECT_TRUE(aten::equal(linear_ordered(x.narrow(0, first, count), w), all.narrow(0, first, count))) << type << " " << first;
      EXPECT_TRUE(aten::equal(linear_ordered(x, w.narrow(0, first, count)), all.narrow(1, first, count))) << type << " " << first;
    }
    // Rows that start at an odd element.
    const Tensor shifted = aten::cat({x.flatten().narrow(0, 0, 1), x.flatten()}).narrow(0, 1, x.numel()).view(x.sizes());
    EXPECT_TRUE(aten::equal(linear_ordered(shifted, w), all)) << type;
  }
  EXPECT_FALSE(has_ordered_sums(aten::zeros({4, 5}, at::kBFloat16)));  // an odd width goes ATen's way
  EXPECT_EQ(linear_ordered(aten::zeros({2, 5}, at::kBFloat16), aten::zeros({4, 5}, at::kBFloat16)).sizes(), at::IntArrayRef({2, 4}));
  EXPECT_THROW(linear_ordered(aten::zeros({2, 6}, at::kBFloat16), aten::zeros({4, 8}, at::kBFloat16)), Error);
  EXPECT_THROW(linear_ordered(aten::zeros({2, 8}), aten::zeros({4, 8}, at::kBFloat16)), Error);
}

TEST(LinearIn, GradientOfTheDefinition) {
  expect_ref_gradient([](const Tensors& t) { return linear_in_ref(t[0], t[1]); }, {randn({3, 4}, 1), randn({4, 5}, 2)});
}

// The definition as a whole, choice included: differences are small enough not to change the choice.
TEST(SparseMlp, GradientOfTheDefinition) {
  expect_ref_gradient(
      [](const Tensors& t) {
        return sparse_mlp_ref(t[0], {t[1], t[2], t[3]}, 3);
      },
      {randn({2, 4}, 1), randn({7, 4}, 2), randn({7, 4}, 3), randn({7, 4}, 4)});
}
void test_training_form(at::Device device) {
  expect_op_equals_ref(
      [](const Tensors& t) {
        return dense_form(t[0], {t[1], t[2], t[3]}, 13);
      },
      [](const Tensors& t) {
        return sparse_mlp_ref(t[0], {t[1], t[2], t[3]}, 13);
      },
      {randn({11, 32}, 1), randn({40, 32}, 2), randn({40, 32}, 3), randn({40, 32}, 4)}, device, {{at::kFloat, 2e-5, 5e-5}});
}
TEST(SparseMlp, TrainingFormEqualsTheDefinition) {
  test_training_form(at::kCPU);
}
TEST(SparseMlp, TrainingFormEqualsTheDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_training_form(at::kCUDA);
}

TEST(SparseMlp, SparseRoadHasTheBitsOfTheDenseOne) {
  const c10::NoGradGuard no_grad;
  const int threads = at::get_num_threads();
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const auto& [dim, inner] : std::vector<std::pair<int64_t, int64_t>>{{64, 176}, {576, 1536}, {38, 53}, {300, 700}}) {
      const Tensor x = randn({3, dim}, 1).to(type);
      const SparseMlpWeights w{randn({inner, dim}, 2).to(type), randn({inner, dim}, 3).to(type), randn({inner, dim}, 4).to(type)};
      for (const int64_t keep : {int64_t{0}, int64_t{1}, inner / 5, inner / 2, inner}) {
        for (const int n : {1, 2}) {
          at::set_num_threads(n);
          const Tensor all = sparse_mlp(x, w, keep);
          EXPECT_TRUE(aten::equal(all, dense_form(x, w, keep)))
              << type << " " << dim << " x " << inner << " keep " << keep << " threads " << n;
          EXPECT_TRUE(aten::equal(sparse_mlp(x.narrow(0, 1, 1), w, keep), all.narrow(0, 1, 1))) << type << " " << dim << " keep " << keep;
        }
      }
    }
  }
  at::set_num_threads(threads);
}

TEST(SparseMlp, SaysWhatItExpected) {
  const Tensor x = aten::zeros({1, 4}), w = aten::zeros({6, 4});
  EXPECT_THROW(sparse_mlp(x, {w, w, aten::zeros({4, 6})}, 2), Error);
  EXPECT_THROW(sparse_mlp(x, {w, w, w}, 7), Error);
  const Tensor leaf = aten::zeros({6, 4}).requires_grad_();
  EXPECT_THROW(sparse_mlp(x, {leaf, w, w}, 2), Error);
  EXPECT_TRUE(has_sparse_mlp(x, {w, w, w}, 2));
  EXPECT_FALSE(has_sparse_mlp(aten::zeros({64, 4}), {w, w, w}, 2));
  const Tensor narrow = w.to(at::kBFloat16), odd = aten::zeros({6, 5}, at::kBFloat16), wide = w.to(at::kDouble);
  EXPECT_TRUE(has_sparse_mlp(x.to(at::kBFloat16), {narrow, narrow, narrow}, 2));
  EXPECT_FALSE(has_sparse_mlp(aten::zeros({1, 5}, at::kBFloat16), {odd, odd, odd}, 2));
  EXPECT_FALSE(has_sparse_mlp(x.to(at::kDouble), {wide, wide, wide}, 2));
}

}  // namespace
}  // namespace r1::ops
