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

}  // namespace
}  // namespace r1::ops
