#include "r1/ops/optimizer_step.h"
#include "r1/tensor/aten.h"

#include "op_test.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace r1::ops {
namespace {

TEST(OptimizerStep, AdamWFollowsItsDefinition) {
  for (int64_t n : {1, 7, 16, 1000, 40000}) {
    Tensor w = aten::randn({n}), m = aten::zeros_like(w), v = aten::zeros_like(w);
    Tensor w2 = w.clone(), m2 = m.clone(), v2 = v.clone();
    for (int64_t t = 1; t <= 5; ++t) {
      const Tensor g = aten::randn({n});
      const AdamW options{.lr = 0.01, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .t = t, .gradient_scale = 0.37};
      adamw_step(w, g, m, v, options);
      adamw_step_ref(w2, g, m2, v2, options);
    }
    EXPECT_TRUE(w.allclose(w2, 1e-5, 1e-6));
    EXPECT_TRUE(m.allclose(m2, 1e-5, 1e-7));
    EXPECT_TRUE(v.allclose(v2, 1e-5, 1e-7));
  }
}

TEST(OptimizerStep, SquaredSumIsExactEnoughAndKnowsInfinity) {
  for (int64_t n : {1, 5, 4096, 4097, 100001}) {
    const Tensor x = aten::randn({n});
    const double expected = x.to(at::kDouble).square().sum().item<double>();
    EXPECT_NEAR(squared_sum(x).item<double>(), expected, 1e-5 * expected);
  }
  Tensor x = aten::full({50000}, 1e30f);
  EXPECT_NEAR(squared_sum(x).item<double>() / 5e64, 1, 1e-5) << "finite, though fp32 squares are not";
  for (float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    x[49999].fill_(bad);
    EXPECT_FALSE(std::isfinite(squared_sum(x).item<double>()));
  }
}

TEST(OptimizerStep, SameBitsForAnyThreads) {
  const int before = at::get_num_threads();
  const Tensor x = aten::randn({300000}), g = aten::randn({300000});
  std::vector<double> sums;
  std::vector<Tensor> weights;
  for (int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    sums.push_back(squared_sum(x).item<double>());
    Tensor w = x.clone(), m = aten::zeros_like(w), v = aten::zeros_like(w);
    adamw_step(w, g, m, v, {.lr = 0.1});
    weights.push_back(w);
  }
  at::set_num_threads(before);
  for (size_t i : {1, 2}) {
    EXPECT_EQ(sums[i], sums[0]);
    EXPECT_TRUE(weights[i].equal(weights[0]));
  }
}

TEST(OptimizerStep, NewtonSchulzLeavesTheOrthogonalFactor) {
  for (auto [rows, columns] : {std::pair{24, 24}, {16, 40}, {40, 16}}) {
    const Tensor x = randn({rows, columns}, 1).to(at::kFloat);  // seeded: a square one may come out nearly singular
    const Tensor y = newton_schulz(x);
    const Tensor s = std::get<1>(aten::linalg_svd(y, /*full_matrices=*/false));
    EXPECT_GT(s.min().item<float>(), 0.3) << "only directions that x hardly has stay small";
    EXPECT_LT(s.max().item<float>(), 1.3);
    const auto [u, sx, vt] = aten::linalg_svd(x, /*full_matrices=*/false);
    const Tensor factor = aten::mm(u, vt);
    const double cosine = ((factor * y).sum() / (factor.norm() * y.norm())).item<double>();
    EXPECT_GT(cosine, 0.95);
  }
}

TEST(OptimizerStep, ManyMuonStepsGiveTheBitsOfEach) {
  const int threads = at::get_num_threads();
  for (const int n : {1, 2}) {
    at::set_num_threads(n);
    std::vector<MuonUpdate> many;
    Tensors alone_w, alone_momentum;
    for (int64_t i = 0; i < 7; ++i) {  // the fifth is not small
      const std::vector<int64_t> shape = i == 4  ? std::vector<int64_t>{520, 520}
                                         : i % 2 ? std::vector<int64_t>{48, 130}
                                                 : std::vector<int64_t>{130, 48};
      const Tensor w = randn(shape, 10 + i).to(at::kFloat), g = randn(shape, 20 + i).to(at::kFloat),
                   m = randn(shape, 30 + i).to(at::kFloat);
      const Muon options{.lr = 0.02, .weight_decay = 0.1, .gradient_scale = 0.5};
      many.push_back({w, g, m, options});
      alone_w.push_back(w.clone()), alone_momentum.push_back(m.clone());
      muon_step(alone_w.back(), g, alone_momentum.back(), options);
    }
    muon_steps(many);
    for (size_t i = 0; i < many.size(); ++i) {
      EXPECT_TRUE(aten::equal(many[i].w, alone_w[i])) << i << " threads " << n;
      EXPECT_TRUE(aten::equal(many[i].momentum, alone_momentum[i])) << i << " threads " << n;
    }
  }
  at::set_num_threads(threads);
}

TEST(OptimizerStep, MuonByHand) {
  // The gradient is a scaled orthogonal matrix, so its orthogonal factor is known up to the polynomial's wobble; momentum starts at 0.
  Tensor w = aten::full({2, 2}, 1.0f), momentum = aten::zeros_like(w);
  Tensor g = aten::zeros_like(w);
  g[0][1].fill_(5), g[1][0].fill_(5);
  muon_step(w, g, momentum, {.lr = 0.1, .momentum = 0.95, .weight_decay = 0.5});
  EXPECT_NEAR(momentum[0][1].item<float>(), 0.25, 1e-6);
  EXPECT_NEAR(w[0][0].item<float>(), 0.95, 1e-6);
  EXPECT_NEAR(w[0][1].item<float>(), 0.95 - 0.1, 0.03);
}

// ---- all tensors of a step, on either device

std::vector<Tensor> many(const std::vector<int64_t>& sizes, uint64_t seed, at::Device device, at::ScalarType type = at::kFloat) {
  std::vector<Tensor> all;
  for (size_t i = 0; i < sizes.size(); ++i) all.push_back(randn({sizes[i]}, seed + i).to(device, type));
  return all;
}
// Around a thread's pack, a block's part, and none.
const std::vector<int64_t> kSizes{1, 3, 4, 7, 255, 1024, 2048, 4099, 8192, 8193, 20000, 0, 131072};

Tensor loss_of(double value, at::Device device) {
  return aten::full({}, value, at::TensorOptions().dtype(at::kDouble).device(device));
}

void expect_steps_as_one_by_one(at::Device device, at::ScalarType gradient_type) {
  std::vector<Tensor> w = many(kSizes, 1, device), m = many(kSizes, 50, device), v, rounded, w2, m2, v2;
  for (size_t i = 0; i < w.size(); ++i) {
    v.push_back(aten::zeros_like(w[i]));
    rounded.push_back(aten::zeros_like(w[i], at::TensorOptions().dtype(at::kBFloat16)));
    w2.push_back(w[i].to(at::kCPU, at::kDouble)), m2.push_back(m[i].to(at::kCPU, at::kDouble));
    v2.push_back(v[i].to(at::kCPU, at::kDouble));
  }
  for (int64_t t = 1; t <= 3; ++t) {
    std::vector<Tensor> g = many(kSizes, uint64_t(100 * t), device, gradient_type);
    if (t == 2) g[4] = Tensor();  // a row that nothing flowed to
    AdamW options{.lr = 0.01, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .t = t};
    double squares = 0;
    for (const Tensor& x : g) squares += x.defined() ? x.to(at::kCPU, at::kDouble).square().sum().item<double>() : 0;
    const Tensor verdict = judge_gradients(g, loss_of(2.5, device), 0.75);
    const Verdict said = read_verdict(verdict);
    EXPECT_TRUE(said.good);
    EXPECT_EQ(said.loss, 2.5);
    EXPECT_NEAR(said.norm, std::sqrt(squares), 1e-5 * std::sqrt(squares));
    EXPECT_NEAR(said.scale, 0.75 / said.norm, 1e-12);
    std::vector<AdamWRow> rows;
    for (size_t i = 0; i < w.size(); ++i) {
      const double decay = i % 2 ? 0.1 : 0;
      rows.push_back({w[i], g[i], m[i], v[i], i % 3 ? rounded[i] : Tensor(), decay});
      if (!g[i].defined()) continue;
      options.weight_decay = decay, options.gradient_scale = said.scale;
      adamw_step_ref(w2[i], g[i].to(at::kCPU, at::kDouble), m2[i], v2[i], options);
    }
    adamw_steps(rows, options, verdict);
  }
  for (size_t i = 0; i < w.size(); ++i) {
    EXPECT_LE(distance(w[i], w2[i]), 2e-6) << kSizes[i];
    EXPECT_LE(distance(m[i], m2[i]), 2e-6) << kSizes[i];
    EXPECT_LE(distance(v[i], v2[i]), 2e-6) << kSizes[i];
    const Tensor want = i % 3 ? w[i].to(at::kBFloat16) : aten::zeros_like(rounded[i]);
    EXPECT_TRUE(aten::equal(rounded[i], want)) << kSizes[i];
  }
}

void expect_bad_steps_change_nothing(at::Device device) {
  std::vector<Tensor> w = many(kSizes, 1, device), m = many(kSizes, 2, device), v = many(kSizes, 3, device), before;
  for (const auto& list : {w, m, v})
    for (const Tensor& t : list) before.push_back(t.clone());
  const auto update = [&](const std::vector<Tensor>& g, double loss) {
    const Tensor verdict = judge_gradients(g, loss_of(loss, device), 1.0);
    EXPECT_FALSE(read_verdict(verdict).good);
    std::vector<AdamWRow> rows;
    for (size_t i = 0; i < w.size(); ++i) rows.push_back({w[i], g[i], m[i], v[i], {}, 0.1});
    adamw_steps(rows, {.lr = 0.1}, verdict);
  };
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const double bad : {double(INFINITY), double(NAN)}) {
      std::vector<Tensor> g = many(kSizes, 9, device, type);
      g[9][8192].fill_(bad);  // the last number of its tensor, in a part of its own
      update(g, 1);
      update(many(kSizes, 9, device, type), bad);
    }
  }
  size_t i = 0;
  for (const auto& list : {w, m, v})
    for (const Tensor& t : list) EXPECT_TRUE(aten::equal(t, before[i++]));
}

void expect_norms_beyond_fp32(at::Device device) {
  const std::vector<Tensor> large{aten::full({50000}, 1e30f, at::TensorOptions().device(device)), Tensor()};
  const Verdict said = read_verdict(judge_gradients(large, loss_of(0, device), 0));
  EXPECT_TRUE(said.good) << "finite, though fp32 squares are not";
  EXPECT_NEAR(said.norm / (1e30 * std::sqrt(50000)), 1, 1e-6);
  EXPECT_EQ(said.scale, 1) << "0: never clipped";
  const Verdict none = read_verdict(judge_gradients(std::vector<Tensor>(3), loss_of(1, device), 1));
  EXPECT_TRUE(none.good && none.norm == 0 && none.scale == 1);
}

void expect_sums(at::Device device) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    std::vector<Tensor> sums(kSizes.size()), want(kSizes.size());
    for (uint64_t round = 0; round < 3; ++round) {
      std::vector<Tensor> g = many(kSizes, 1000 * round, device, type);
      if (round == 0) g[3] = Tensor();
      if (round == 1) g[5] = Tensor();
      add_gradients(sums, g);
      for (size_t i = 0; i < g.size(); ++i) {
        if (g[i].defined()) want[i] = want[i].defined() ? want[i] + g[i].to(at::kFloat) : g[i].to(at::kFloat);
      }
    }
    for (size_t i = 0; i < sums.size(); ++i) EXPECT_TRUE(aten::equal(sums[i], want[i])) << kSizes[i];
  }
}

TEST(ManySteps, EqualAdamWOneByOne) {
  expect_steps_as_one_by_one(at::kCPU, at::kFloat);
  expect_steps_as_one_by_one(at::kCPU, at::kBFloat16);
}
TEST(ManySteps, EqualAdamWOneByOneCuda) {
  SKIP_WITHOUT_CUDA();
  expect_steps_as_one_by_one(at::kCUDA, at::kFloat);
  expect_steps_as_one_by_one(at::kCUDA, at::kBFloat16);
}
TEST(ManySteps, OfABadStepChangeNothing) {
  expect_bad_steps_change_nothing(at::kCPU);
}
TEST(ManySteps, OfABadStepChangeNothingCuda) {
  SKIP_WITHOUT_CUDA();
  expect_bad_steps_change_nothing(at::kCUDA);
}
TEST(ManySteps, NormOfLargeGradientsAndOfNone) {
  expect_norms_beyond_fp32(at::kCPU);
}
TEST(ManySteps, NormOfLargeGradientsAndOfNoneCuda) {
  SKIP_WITHOUT_CUDA();
  expect_norms_beyond_fp32(at::kCUDA);
}
TEST(ManySteps, SumsAreFp32) {
  expect_sums(at::kCPU);
}
TEST(ManySteps, SumsAreFp32Cuda) {
  SKIP_WITHOUT_CUDA();
  expect_sums(at::kCUDA);
}

// Addresses that no vector load takes, and results that do not depend on them.
TEST(ManySteps, OddAddressesGiveTheSameBitsCuda) {
  SKIP_WITHOUT_CUDA();
  const int64_t n = 10001;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    std::vector<std::vector<Tensor>> results;
    for (const int64_t shift : {0, 1}) {
      const auto part = [&](uint64_t seed, at::ScalarType t) {
        const Tensor all = aten::zeros({n + 1}, at::TensorOptions().dtype(t).device(at::kCUDA));
        all.narrow(0, shift, n).copy_(randn({n}, seed));
        return all.narrow(0, shift, n);
      };
      const std::vector<Tensor> g{part(1, type)};
      AdamWRow row{part(2, at::kFloat), g[0], part(3, at::kFloat), part(4, at::kFloat).abs_(), part(5, at::kBFloat16), 0.1};
      const Tensor verdict = judge_gradients(g, loss_of(1, at::kCUDA), 1.0);
      adamw_steps(std::span(&row, 1), {.lr = 0.1}, verdict);
      std::vector<Tensor> sums{part(6, at::kFloat)};
      add_gradients(sums, g);
      results.push_back({row.w, row.m, row.v, row.rounded, sums[0]});
    }
    for (size_t i = 0; i < results[0].size(); ++i) EXPECT_LE(distance(results[0][i], results[1][i]), i == 3 ? 1e-2 : 1e-6) << i;
    EXPECT_TRUE(aten::equal(results[0][4], results[1][4]));
  }
}

TEST(ManySteps, WrongTensorsAreRefused) {
  const Tensor x = aten::zeros({4}), y = aten::zeros({5});
  const Tensor verdict = judge_gradients(std::vector{x}, loss_of(1, at::kCPU), 1);
  const auto steps = [&](AdamWRow row) { adamw_steps(std::span(&row, 1), {}, verdict); };
  EXPECT_THROW(steps({x, y, x, x, {}, 0}), Error);
  EXPECT_THROW(steps({x, x, y, x, {}, 0}), Error);
  EXPECT_THROW(steps({x, x, x, x, x, 0}), Error) << "a copy in fp32";
  EXPECT_THROW(adamw_steps({}, {}, x), Error) << "no verdict";
  EXPECT_THROW(judge_gradients(std::vector{x}, x, 1), Error) << "no loss";
  std::vector<Tensor> sums{y};
  EXPECT_THROW(add_gradients(sums, std::vector{x}), Error);
}

}  // namespace
}  // namespace r1::ops
