// Ops whose rows are independent: norm, rotary, swiglu, embedding, dropout, linear.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "op_test.h"
#include "r1/kernels/cpu/isa.h"
#include "r1/ops/dropout.h"
#include "r1/ops/embedding.h"
#include "r1/ops/linear.h"
#include "r1/ops/norm.h"
#include "r1/ops/rotary.h"
#include "r1/ops/swiglu.h"
#include "r1/tensor/aten.h"

namespace r1::ops {
namespace {

// ---- linear
const Op kLinear = [](const Tensors& t) { return linear(t[0], t[1], t.size() > 2 ? t[2] : Tensor()); };
const Op kLinearRef = [](const Tensors& t) { return linear_ref(t[0], t[1], t.size() > 2 ? t[2] : Tensor()); };

void test_linear(at::Device device) {
  expect_op_equals_ref(kLinear, kLinearRef, {randn({37, 48}, 1), randn({29, 48}, 2), randn({29}, 3)}, device);
  expect_op_equals_ref(kLinear, kLinearRef, {randn({1, 16}, 1), randn({130, 16}, 2)}, device);
}
TEST(Linear, EqualsItsDefinition) {
  test_linear(at::kCPU);
}
TEST(Linear, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_linear(at::kCUDA);
}
TEST(Linear, GradientOfTheDefinition) {
  expect_ref_gradient(kLinearRef, {randn({3, 4}, 1), randn({5, 4}, 2), randn({5}, 3)});
}

// Row t of the product of T rows, bit for bit the product of that row among others.
void test_row_invariance(at::ScalarType type, int64_t in, int64_t out, const std::vector<int64_t>& counts) {
  const c10::NoGradGuard no_grad;
  const Tensor x = randn({96, in}, 4).to(type), w = randn({out, in}, 5).to(type), whole = linear(x, w);
  const int threads = at::get_num_threads();
  for (const int n : {1, 2}) {
    at::set_num_threads(n);
    for (const int64_t rows : counts) {
      for (const int64_t begin : {int64_t{0}, int64_t{7}, 96 - rows}) {
        EXPECT_TRUE(aten::equal(linear(x.narrow(0, begin, rows), w), whole.narrow(0, begin, rows)))
            << type << " " << rows << " rows at " << begin << ", threads " << n;
      }
    }
  }
  at::set_num_threads(threads);
}
TEST(Linear, Fp32RowsDoNotDependOnTheirNumber) {
  for (const auto& [in, out] : std::vector<std::pair<int64_t, int64_t>>{{128, 352}, {576, 1536}, {37, 5}}) {
    test_row_invariance(at::kFloat, in, out, {1, 2, 3, 5, 8, 17, 64});
  }
}
// With the CPU's instruction for it, what ATen's bf16 product happens to do, and the engine's bf16 determinism leans on (docs/numerics.md).
TEST(Linear, Bf16RowsDoNotDependOnTheirNumber) {
  test_row_invariance(at::kBFloat16, 576, 1536, {1, 2, 3, 5, 8, 17, 64});
}

// Without an instruction for bf16 products, whatever this CPU has.
struct WithoutBf16Dot {
  WithoutBf16Dot() { kernels::set_isa(kernels::isa_available(kernels::Isa::kAvx2) ? kernels::Isa::kAvx2 : kernels::Isa::kScalar); }
  ~WithoutBf16Dot() { kernels::set_isa(kernels::best_isa()); }
};

TEST(Linear, Bf16WithoutAnInstructionEqualsItsDefinition) {
  const WithoutBf16Dot without;
  test_linear(at::kCPU);
  for (const auto& [in, out] : std::vector<std::pair<int64_t, int64_t>>{{48, 80}, {80, 48}, {37, 5}}) {
    test_row_invariance(at::kBFloat16, in, out, {1, 2, 3, 5, 8, 17, 64});
  }
}

// The sums are fp32's of the widened values, rounded once.
TEST(Linear, Bf16GradientsWithoutAnInstructionAreThoseOfFp32Rounded) {
  const WithoutBf16Dot without;
  Tensors inputs;
  for (const Tensor& t : {randn({300, 37}, 1), randn({53, 37}, 2), randn({53}, 3)}) inputs.push_back(t.to(at::kBFloat16));
  const Tensor dout = randn({300, 53}, 4).to(at::kBFloat16);
  const Result narrow = run(kLinear, inputs, at::kCPU, at::kBFloat16, dout), wide = run(kLinear, inputs, at::kCPU, at::kFloat, dout);
  for (size_t i = 0; i < inputs.size(); ++i) EXPECT_TRUE(aten::equal(narrow.grads[i], wide.grads[i].to(at::kBFloat16))) << i;
}

// ATen's takes some thirty times as long as fp32 there. Processor time of the least of five, so that a busy machine passes.
TEST(Linear, Bf16WithoutAnInstructionCostsAboutWhatFp32Costs) {
  const WithoutBf16Dot without;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto least_ms = [](at::ScalarType type) {
    const Tensor x = randn({256, 384}, 1), w = randn({256, 384}, 2), dout = randn({256, 256}, 3);
    double least = 1e9;
    for (int i = 0; i < 5; ++i) {
      const std::clock_t start = std::clock();
      run(kLinear, {x, w}, at::kCPU, type, dout);
      least = std::min(least, 1e3 * double(std::clock() - start) / CLOCKS_PER_SEC);
    }
    return least;
  };
  const double fp32 = least_ms(at::kFloat), bf16 = least_ms(at::kBFloat16);
  at::set_num_threads(threads);
  EXPECT_LT(bf16, 4 * fp32) << "ms, against " << fp32;
}

TEST(Linear, InFp32KeepsWhatRoundingTakes) {
  const WithoutBf16Dot without;
  const Op op = [](const Tensors& t) { return linear_fp32(t[0], t[1]); };
  expect_op_equals_ref(op, kLinearRef, {randn({37, 48}, 1), randn({29, 48}, 2)}, at::kCPU,
                       {{at::kFloat, 2e-5, 5e-5}, {at::kBFloat16, 2e-5, 2e-2}});
  EXPECT_EQ(linear_fp32(aten::zeros({2, 3}, at::kBFloat16), aten::zeros({4, 3}, at::kBFloat16)).scalar_type(), at::kFloat);
  EXPECT_THROW(linear_fp32(aten::zeros({2, 3}), aten::zeros({4, 5})), Error);
}

TEST(Linear, GradientsDoNotDependOnThreads) {
  const Tensors inputs{randn({700, 64}, 1), randn({96, 64}, 2), randn({96}, 3)};
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Result one = run(kLinear, inputs, at::kCPU, at::kFloat, randn({700, 96}, 4));
  at::set_num_threads(2);
  const Result two = run(kLinear, inputs, at::kCPU, at::kFloat, randn({700, 96}, 4));
  at::set_num_threads(threads);
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(aten::equal(one.grads[i], two.grads[i])) << i;
}
TEST(Linear, SaysWhatItExpected) {
  try {
    linear(aten::zeros({2, 3}), aten::zeros({4, 5}));
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "[linear] expected x [T, I] and weight [O, I], got [2, 3] and [4, 5]");
  }
  EXPECT_THROW(linear(aten::zeros({2, 3}), aten::zeros({4, 3}), aten::zeros({3})), Error);
  EXPECT_THROW(linear(aten::zeros({2, 3}), aten::zeros({4, 3}, at::kBFloat16)), Error);
}

// ---- rms_norm
const Op kNorm = [](const Tensors& t) { return rms_norm(t[0], t[1], 1e-5); };
const Op kNormRef = [](const Tensors& t) { return rms_norm_ref(t[0], t[1], 1e-5); };
void test_norm(at::Device device) {
  expect_op_equals_ref(kNorm, kNormRef, {randn({33, 48}, 1), randn({48}, 2)}, device);
  expect_op_equals_ref(kNorm, kNormRef, {randn({5, 3, 16}, 1) * 1e-3, randn({16}, 2)}, device);  // as q_norm; eps matters
}
TEST(RmsNorm, EqualsItsDefinition) {
  test_norm(at::kCPU);
}
TEST(RmsNorm, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_norm(at::kCUDA);
}
TEST(RmsNorm, GradientOfTheDefinition) {
  expect_ref_gradient(kNormRef, {randn({3, 4}, 1), randn({4}, 2)});
}
TEST(RmsNorm, ByHand) {
  const Tensor y = rms_norm(aten::tensor({3.0f, 4.0f}).view({1, 2}), aten::tensor({1.0f, 2.0f}), 0);
  EXPECT_NEAR(y[0][0].item<double>(), 3 / std::sqrt(12.5), 1e-6);
  EXPECT_NEAR(y[0][1].item<double>(), 8 / std::sqrt(12.5), 1e-6);
  EXPECT_THROW(rms_norm(aten::zeros({2, 3}), aten::zeros({2}), 0), Error);
}

// ---- swiglu
const Op kSwiglu = [](const Tensors& t) { return swiglu(t[0], t[1]); };
const Op kSwigluRef = [](const Tensors& t) { return swiglu_ref(t[0], t[1]); };
void test_swiglu(at::Device device) {
  expect_op_equals_ref(kSwiglu, kSwigluRef, {randn({17, 43}, 1) * 4, randn({17, 43}, 2)}, device);
}
TEST(Swiglu, EqualsItsDefinition) {
  test_swiglu(at::kCPU);
}
TEST(Swiglu, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_swiglu(at::kCUDA);
}
TEST(Swiglu, GradientOfTheDefinition) {
  expect_ref_gradient(kSwigluRef, {randn({2, 3}, 1), randn({2, 3}, 2)});
}
TEST(Swiglu, SurvivesLargeGates) {
  const Tensor y = swiglu(aten::tensor({-200.0f, 200.0f, 0.0f}).view({1, 3}), aten::ones_like(aten::zeros({1, 3})));
  EXPECT_EQ(y[0][0].item<float>(), 0.0f);
  EXPECT_EQ(y[0][1].item<float>(), 200.0f);
  EXPECT_THROW(swiglu(aten::zeros({2, 3}), aten::zeros({3, 2})), Error);
}

// ---- rotary
RotaryTable table_on(at::Device device) {
  return rotary_table(rotary_frequencies(16, 10000, {}), 64, device);
}
Tensor positions_on(at::Device device) {
  return aten::tensor(std::vector<int32_t>{0, 1, 2, 63, 0, 5, 31}, at::kInt).to(device);
}
void test_rotary(at::Device device) {
  // The definition runs on the CPU, the op where it is asked to: what they share goes where the argument is.
  expect_op_equals_ref([&](const Tensors& t) { return rotary(t[0], table_on(t[0].device()), positions_on(t[0].device())); },
                       [&](const Tensors& t) { return rotary_ref(t[0], table_on(t[0].device()), positions_on(t[0].device())); },
                       {randn({7, 3, 16}, 1)}, device);
}
TEST(Rotary, EqualsItsDefinition) {
  test_rotary(at::kCPU);
}
TEST(Rotary, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_rotary(at::kCUDA);
}
TEST(Rotary, GradientOfTheDefinition) {
  const auto table = table_on(at::kCPU);
  expect_ref_gradient([&](const Tensors& t) { return rotary_ref(t[0], table, positions_on(at::kCPU)); }, {randn({7, 1, 16}, 1)});
}
TEST(Rotary, DotProductsDependOnDistanceOnly) {
  const auto table = table_on(at::kCPU);
  const Tensor q = randn({1, 1, 16}, 1).to(at::kFloat), k = randn({1, 1, 16}, 2).to(at::kFloat);
  const auto at_position = [&](const Tensor& x, int32_t p) { return rotary(x, table, aten::tensor(std::vector<int32_t>{p}, at::kInt)); };
  const auto dot = [&](int32_t a, int32_t b) { return (at_position(q, a) * at_position(k, b)).sum().item<double>(); };
  EXPECT_NEAR(dot(9, 4), dot(45, 40), 1e-4);
  EXPECT_GT(std::abs(dot(9, 4) - dot(9, 8)), 1e-3);
}
TEST(Rotary, Llama3ScalingLeavesShortWavesAndStretchesLongOnes) {
  const RotaryScaling scaling{RotaryScaling::kLlama3, 8, 1, 4, 8192};
  const auto plain = rotary_frequencies(128, 500000, {}), scaled = rotary_frequencies(128, 500000, scaling);
  EXPECT_EQ(plain.front(), scaled.front());
  EXPECT_FLOAT_EQ(plain.back() / 8, scaled.back());
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_LE(scaled[i], plain[i]);
    EXPECT_GE(scaled[i] * 8.0001f, plain[i]);
  }
}

// ---- embedding
void test_embedding(at::Device device) {
  const Tensor ids = random_ids(50, 11, 3);
  expect_op_equals_ref([&](const Tensors& t) { return embedding(ids.to(t[0].device()), t[0]); },
                       [&](const Tensors& t) { return embedding_ref(ids.to(t[0].device()), t[0]); }, {randn({11, 24}, 1)}, device);
}
TEST(Embedding, EqualsItsDefinition) {
  test_embedding(at::kCPU);
}
TEST(Embedding, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_embedding(at::kCUDA);
}
// A word that stands in every line: thousands of rows make one, which bf16 sums would lose; widths on and off the vectors.
TEST(Embedding, ManyRowsOfOneIdAreSummedInFp32Cuda) {
  SKIP_WITHOUT_CUDA();
  for (const int64_t D : {896, 1100, 37}) {
    const int64_t T = 3001;
    Tensor ids = random_ids(T, 50, 1);
    ids.narrow(0, 500, 2000).fill_(7);
    const Tensor dout = randn({T, D}, 2).to(at::kBFloat16) + 1;
    const Op op = [&](const Tensors& t) { return embedding(ids.to(t[0].device()), t[0]); };
    const Tensor want = run(op, {randn({60, D}, 3)}, at::kCPU, at::kFloat, dout).grads[0].to(at::kBFloat16);
    const Tensor one = run(op, {randn({60, D}, 3)}, at::kCUDA, at::kBFloat16, dout).grads[0].cpu();
    EXPECT_LE(distance(one, want), 1.0 / 256) << D;  // one rounding, of sums in another order
    EXPECT_TRUE(aten::equal(one, run(op, {randn({60, D}, 3)}, at::kCUDA, at::kBFloat16, dout).grads[0].cpu())) << D;
  }
}
TEST(Embedding, RefusesIdsOutsideTheTable) {
  EXPECT_THROW(embedding(aten::tensor({0, 5}, at::kLong), aten::zeros({5, 2})), Error);
  EXPECT_THROW(embedding(aten::tensor({-1}, at::kLong), aten::zeros({5, 2})), Error);
}
TEST(Embedding, BackwardDoesNotDependOnThreads) {
  const Tensor ids = random_ids(5000, 7, 3);
  const Op op = [&](const Tensors& t) { return embedding(ids, t[0]); };
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Result one = run(op, {randn({7, 40}, 1)}, at::kCPU, at::kFloat, randn({5000, 40}, 4));
  at::set_num_threads(2);
  const Result two = run(op, {randn({7, 40}, 1)}, at::kCPU, at::kFloat, randn({5000, 40}, 4));
  at::set_num_threads(threads);
  EXPECT_TRUE(aten::equal(one.grads[0], two.grads[0]));
}

// ---- dropout
void test_dropout(at::Device device) {
  for (const uint64_t seed : {uint64_t{3}, uint64_t{0xFEDCBA9876543210}}) {
    expect_op_equals_ref([&](const Tensors& t) { return dropout(t[0], 0.3, seed, 5); },
                         [&](const Tensors& t) { return dropout_ref(t[0], 0.3, seed, 5); }, {randn({19, 23}, 1)}, device);
  }
}
TEST(Dropout, EqualsItsDefinition) {
  test_dropout(at::kCPU);
}
TEST(Dropout, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_dropout(at::kCUDA);
  EXPECT_TRUE(aten::equal(dropout_mask_ref({1000}, at::kCUDA, 0.25, 1, 2).cpu(), dropout_mask_ref({1000}, at::kCPU, 0.25, 1, 2)));
}
TEST(Dropout, MaskIsPhilox) {
  const Tensor mask = dropout_mask_ref({4003}, at::kCPU, 0.25, 0x123456789ABCDEF, 42);
  int64_t kept = 0;
  for (uint32_t i = 0; i < 4003; ++i) {
    const uint32_t word = philox4x32({i / 4, 0, 42, 0}, {0x89ABCDEF, 0x01234567})[i % 4];
    EXPECT_EQ(mask[i].item<float>(), word >= 0x40000000u ? float(1 / 0.75) : 0.0f) << i;
    kept += word >= 0x40000000u;
  }
  EXPECT_NEAR(double(kept) / 4003, 0.75, 0.03);
  const Tensor x = randn({10}, 1);
  EXPECT_TRUE(dropout(x, 0, 1, 1).is_same(x));
  EXPECT_FALSE(aten::equal(dropout_mask_ref({100}, at::kCPU, 0.5, 1, 1), dropout_mask_ref({100}, at::kCPU, 0.5, 1, 2)));
  EXPECT_THROW(dropout(x, 1, 1, 1), Error);
}

// ---- autograd.h
TEST(Autograd, SecondBackwardAndDoubleBackwardAreRefused) {
  const Tensor x = randn({4, 8}, 1).to(at::kFloat).requires_grad_(), w = randn({8}, 2).to(at::kFloat).requires_grad_();
  const Tensor y = rms_norm(x, w, 1e-5), loss = y.sum();
  loss.backward();
  try {
    loss.backward();
    FAIL();
  } catch (const std::exception& e) {
    SUCCEED();
  }
  const Tensor again = rms_norm(x, w, 1e-5).sum();
  EXPECT_THROW(again.backward({}, true, /*create_graph=*/true), std::exception);
}
TEST(Autograd, WeightsChangedBetweenForwardAndBackwardAreNoticed) {
  const Tensor x = randn({4, 8}, 1).to(at::kFloat).requires_grad_(), w = randn({8}, 2).to(at::kFloat).requires_grad_();
  const Tensor loss = rms_norm(x, w, 1e-5).sum();
  {
    const c10::NoGradGuard no_grad;
    w.add_(1);
  }
  EXPECT_THROW(loss.backward(), std::exception);
}

}  // namespace
}  // namespace r1::ops
