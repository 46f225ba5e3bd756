// RMSNorm and LayerNorm in all widths that the device's kernels tell apart, and the two with a residual sum before them.
#include "r1/ops/add_norm.h"

#include "op_test.h"
#include "r1/ops/column_sums.h"
#include "r1/ops/layer_norm.h"
#include "r1/ops/norm.h"
#include "r1/tensor/aten.h"

namespace r1::ops {
namespace {

enum Which { kBoth, kNormed };

// Both results side by side, or the norm alone, so that the backward gets both gradients or one.
Tensor picked(const AddNormed& r, Which which) {
  return which == kBoth ? aten::cat({r.sum, r.normed}, -1) : r.normed;
}

void expect_add_norms(const at::IntArrayRef& shape, at::Device device) {
  const int64_t D = shape.back();
  const Tensors rms{randn(shape, 1), randn(shape, 2) * 0.3, randn({D}, 3)}, layer{rms[0] + 2, rms[1], rms[2], randn({D}, 4)};
  for (const Which which : {kBoth, kNormed}) {
    for (const double offset : {0.0, 1.0}) {
      const auto with = [&](auto* op) {
        return [op, which, offset](const Tensors& t) { return picked(op(t[0], t[1], t[2], 1e-5, offset), which); };
      };
      expect_op_equals_ref(with(add_rms_norm), with(add_rms_norm_ref), rms, device);
    }
    const auto with = [&](auto* op) { return [op, which](const Tensors& t) { return picked(op(t[0], t[1], t[2], t[3], 1e-5), which); }; };
    expect_op_equals_ref(with(add_layer_norm), with(add_layer_norm_ref), layer, device);
  }
}

void test_add_norms(at::Device device) {
  for (const auto& shape : std::vector<std::vector<int64_t>>{{33, 48}, {1, 19}, {5, 3, 16}}) expect_add_norms(shape, device);
}
TEST(AddNorm, EqualsItsDefinition) {
  test_add_norms(at::kCPU);
}
TEST(AddNorm, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_add_norms(at::kCUDA);
  // From 8 threads a row to a block, widths that fill the vectors and that do not, odd ones, and rows too long for registers.
  for (const int64_t D : {8, 64, 128, 250, 264, 896, 1000, 1536, 1537, 2048, 4096, 8192, 16384, 16392}) {
    expect_add_norms({D < 300 ? 517 : 37, D}, at::kCUDA);
  }
}

// Where the sum alone is read, its gradient goes to both terms, and the weight gets none.
void test_sum_alone(at::Device device) {
  const Tensor x = randn({7, 24}, 1).to(device, at::kFloat).requires_grad_(),
               delta = randn({7, 24}, 2).to(device, at::kFloat).requires_grad_();
  const Tensor weight = randn({24}, 3).to(device, at::kFloat).requires_grad_(), dout = randn({7, 24}, 4).to(device, at::kFloat);
  const Tensors grads = gradients({add_rms_norm(x, delta, weight, 1e-5).sum}, {dout}, {x, delta, weight});
  EXPECT_TRUE(aten::equal(grads[0], dout) && aten::equal(grads[1], dout));
  EXPECT_TRUE(!grads[2].defined() || grads[2].abs().max().item<float>() == 0);
}
TEST(AddNorm, SumAlone) {
  test_sum_alone(at::kCPU);
}
TEST(AddNorm, SumAloneCuda) {
  SKIP_WITHOUT_CUDA();
  test_sum_alone(at::kCUDA);
}

// The normed values are of the sum as it is stored, and on the CPU the two ops' bits.
void test_bits(at::Device device) {
  const c10::NoGradGuard no_grad;
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const Tensor x = randn({9, 896}, 1).to(device, type), delta = randn({9, 896}, 2).to(device, type), w = randn({896}, 3).to(device, type);
    const AddNormed r = add_rms_norm(x, delta, w, 1e-6), l = add_layer_norm(x, delta, w, w, 1e-6);
    EXPECT_TRUE(aten::equal(r.sum, x + delta) && aten::equal(l.sum, x + delta));
    EXPECT_TRUE(aten::equal(r.normed, rms_norm(x + delta, w, 1e-6)));
    EXPECT_TRUE(aten::equal(l.normed, layer_norm(x + delta, w, w, 1e-6)));
    const AddNormed one = add_rms_norm(x.narrow(0, 4, 1), delta.narrow(0, 4, 1), w, 1e-6);
    EXPECT_TRUE(aten::equal(one.normed, r.normed.narrow(0, 4, 1)));
  }
}
TEST(AddNorm, BitsOfTheTwoOps) {
  test_bits(at::kCPU);
}
TEST(AddNorm, BitsOfTheTwoOpsCuda) {
  SKIP_WITHOUT_CUDA();
  test_bits(at::kCUDA);
}

// Heads: many short rows, a group of threads smaller than a warp each; and rows of a wider matrix.
TEST(AddNorm, NormsOfHeadsAndOfWiderMatricesCuda) {
  SKIP_WITHOUT_CUDA();
  for (const int64_t H : {64, 128, 96, 20}) {
    expect_op_equals_ref([](const Tensors& t) { return rms_norm(t[0], t[1], 1e-6); },
                         [](const Tensors& t) { return rms_norm_ref(t[0], t[1], 1e-6); }, {randn({301, 7, H}, 1), randn({H}, 2)},
                         at::kCUDA);
  }
  for (const int64_t first : {0, 16, 3}) {
    const auto part = [first](const Tensors& t) { return t[0].narrow(1, first, 320); };
    const Tensors inputs{randn({67, 384}, 1), randn({320}, 2), randn({320}, 3)};
    expect_op_equals_ref([&](const Tensors& t) { return layer_norm(part(t), t[1], t[2], 1e-6); },
                         [&](const Tensors& t) { return layer_norm_ref(part(t), t[1], t[2], 1e-6); }, inputs, at::kCUDA);
  }
}

// Sums over rows without atomics: the same bits every time.
TEST(AddNorm, GradientsRepeatThemselvesCuda) {
  SKIP_WITHOUT_CUDA();
  for (const int64_t D : {128, 896, 1537}) {
    const Tensors inputs{randn({3001, D}, 1), randn({3001, D}, 2), randn({D}, 3), randn({D}, 4)};
    const Op op = [](const Tensors& t) { return picked(add_layer_norm(t[0], t[1], t[2], t[3], 1e-5), kBoth); };
    const Tensor dout = randn({3001, 2 * D}, 5);
    const Result one = run(op, inputs, at::kCUDA, at::kFloat, dout), two = run(op, inputs, at::kCUDA, at::kFloat, dout);
    for (size_t i = 0; i < inputs.size(); ++i) EXPECT_TRUE(aten::equal(one.grads[i], two.grads[i])) << D << " " << i;
  }
}

// ---- sums over rows
TEST(ColumnSums, EqualATensSumsCuda) {
  SKIP_WITHOUT_CUDA();
  for (const auto& [rows, columns] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {0, 24}, {4099, 896}, {3000, 1152}, {77, 37}, {513, 20000}}) {
    const Tensor x = randn({rows, columns}, 1).to(at::kFloat).to(at::kCUDA), bf16 = x.to(at::kBFloat16);
    EXPECT_LE(distance(column_sums(x), x.to(at::kDouble).sum(0)), 2e-6) << rows << " " << columns;
    EXPECT_LE(distance(column_sums(bf16), bf16.to(at::kDouble).sum(0)), 1.0 / 256) << rows << " " << columns;
    if (columns > 20) {
      const Tensor part = bf16.narrow(1, 8, columns - 16);
      EXPECT_TRUE(aten::equal(column_sums(part), column_sums(part.contiguous())));
    }
  }
}

TEST(AddNorm, SaysWhatItExpected) {
  const Tensor x = aten::zeros({2, 3}), w = aten::ones({3});
  EXPECT_THROW(add_rms_norm(x, aten::zeros({3, 2}), w, 1e-5), Error);
  EXPECT_THROW(add_rms_norm(x, x.to(at::kBFloat16), w, 1e-5), Error);
  EXPECT_THROW(add_rms_norm(x, x, aten::ones({2}), 1e-5), Error);
  EXPECT_THROW(add_layer_norm(x, x, w, aten::ones({2}), 1e-5), Error);
}

}  // namespace
}  // namespace r1::ops
