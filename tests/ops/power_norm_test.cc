// PowerNorm: the forward and its frozen gradient by finite differences, the approximate backward against its definition and, at the
// statistics' fixed point, against the exact gradient of the norm by the batch's own quadratic mean.
#include "r1/ops/power_norm.h"
#include "r1/tensor/aten.h"

#include <ATen/Parallel.h>

#include "op_test.h"

namespace r1::ops {
namespace {

constexpr double kEps = 1e-5;

PowerNormState state_of(int64_t dim, bool with_nu) {
  return {(randn({dim}, 11).abs() + 0.3).to(at::kFloat),
          with_nu ? (randn({dim}, 12) * 0.5).to(at::kFloat) : aten::zeros({dim}, at::kFloat)};
}
Tensor scaled_rows(const Tensor& x, double eps) {
  return x * aten::rsqrt((x * x).mean(-1, /*keepdim=*/true) + eps);
}
PowerNormState on(const PowerNormState& s, at::Device device) {
  return {s.square_D.to(device), s.nu_D.to(device)};
}

void test_power_norm(at::Device device) {
  const PowerNormState frozen = state_of(48, false);
  expect_op_equals_ref([&](const Tensors& t) { return power_norm(t[0], t[1], t[2], on(frozen, t[0].device()), kEps); },
                       [&](const Tensors& t) { return power_norm_ref(t[0], t[1], t[2], on(frozen, t[0].device()), kEps); },
                       {randn({33, 48}, 1), randn({48}, 2), randn({48}, 3)}, device);
}
TEST(PowerNorm, EqualsItsDefinitionFrozen) {
  test_power_norm(at::kCPU);
}
TEST(PowerNorm, EqualsItsDefinitionFrozenCuda) {
  SKIP_WITHOUT_CUDA();
  test_power_norm(at::kCUDA);
}
TEST(PowerNorm, GradientOfTheDefinitionFrozen) {
  const PowerNormState frozen = state_of(4, false);
  expect_ref_gradient([&](const Tensors& t) { return power_norm_ref(t[0], t[1], t[2], frozen, kEps); },
                      {randn({3, 4}, 1), randn({4}, 2), randn({4}, 3)});
}

TEST(PowerNorm, BackwardIsItsDefinition) {
  const PowerNormState state = state_of(20, true);
  const Tensor x = randn({31, 20}, 1), weight = randn({20}, 2), bias = randn({20}, 3), dy = randn({31, 20}, 4);
  const Tensors want = power_norm_backward_ref(dy, x, weight, state, kEps);
  for (const auto& [type, tolerance] : {std::pair{at::kDouble, 1e-12}, std::pair{at::kFloat, 2e-5}}) {
    PowerNormSums sums;
    const Result got =
        run([&](const Tensors& t) { return power_norm(t[0], t[1], t[2], state, kEps, [&](const PowerNormSums& s) { sums = s; }); },
            {x, weight, bias}, at::kCPU, type, dy);
    for (size_t i = 0; i < 3; ++i) EXPECT_LE(distance(got.grads[i], want[i]), tolerance) << type << " input " << i;
    const Tensor u = scaled_rows(x, kEps), xhat = u * aten::rsqrt(state.square_D.to(at::kDouble) + kEps);
    EXPECT_LE(distance(sums.squares_D, (u * u).sum(0)), 1e-5);
    EXPECT_LE(distance(sums.lambda_D, (dy * weight * xhat).sum(0)), 1e-5);
  }
}

// Same batch again and again: the statistics settle, and then dx is the gradient of u / sqrt(mean over tokens of u^2).
TEST(PowerNorm, AtTheFixedPointTheGradientIsExact) {
  const Tensor x = randn({40, 6}, 1), weight = randn({6}, 2), bias = randn({6}, 3), dy = randn({40, 6}, 4);
  PowerNormState state{aten::ones_like(weight).to(at::kFloat), aten::zeros({6}, at::kFloat)};
  const auto pass = [&] {
    PowerNormSums sums;
    const Result r =
        run([&](const Tensors& t) { return power_norm(t[0], t[1], t[2], state, 0, [&](const PowerNormSums& s) { sums = s; }); },
            {x, weight, bias}, at::kCPU, at::kDouble, dy);
    power_norm_step(state, {.sums = sums, .tokens = 40, .rate = 0.1, .nu_rate = 0.1, .eps = 0});
    return r;
  };
  const Op batch_norm = [](const Tensors& t) {
    const Tensor u = scaled_rows(t[0], 0);
    return u * aten::rsqrt((u * u).mean(0)) * t[1] + t[2];
  };
  const Result exact = run(batch_norm, {x, weight, bias}, at::kCPU, at::kDouble, dy);
  EXPECT_GT(distance(pass().grads[0], exact.grads[0]), 0.05);  // not from the start
  for (int i = 0; i < 300; ++i) pass();
  const Result settled = pass();
  EXPECT_LE(distance(settled.out, exact.out), 1e-6);
  for (size_t i = 0; i < 3; ++i) EXPECT_LE(distance(settled.grads[i], exact.grads[i]), 1e-5) << i;
}

TEST(PowerNorm, RowsAndThreadsDoNotShowInTheBits) {
  const PowerNormState state = state_of(64, true);
  const Op op = [&](const Tensors& t) { return power_norm(t[0], t[1], t[2], state, kEps); };
  const Tensors inputs{randn({700, 64}, 1), randn({64}, 2), randn({64}, 3)};
  {
    const c10::NoGradGuard no_grad;
    Tensors t;
    for (const Tensor& input : inputs) t.push_back(input.to(at::kFloat));
    EXPECT_TRUE(aten::equal(op({t[0].narrow(0, 5, 1), t[1], t[2]}), op(t).narrow(0, 5, 1)));
  }
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Result one = run(op, inputs, at::kCPU, at::kFloat, randn({700, 64}, 4));
  at::set_num_threads(2);
  const Result two = run(op, inputs, at::kCPU, at::kFloat, randn({700, 64}, 4));
  at::set_num_threads(threads);
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(aten::equal(one.grads[i], two.grads[i])) << i;
}

TEST(PowerNorm, SaysWhatItExpected) {
  EXPECT_THROW(power_norm(aten::zeros({2, 3}), aten::zeros({2}), aten::zeros({2}), {aten::zeros({2}), aten::zeros({2})}, 0), Error);
  EXPECT_THROW(power_norm_step({aten::zeros({2}), aten::zeros({2})}, {.sums = {aten::zeros({2}), aten::zeros({2})}, .tokens = 0}), Error);
}

}  // namespace
}  // namespace r1::ops
