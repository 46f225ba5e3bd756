// The ops of a mixture of experts: route, balance_loss, expert_rows, grouped_linear.
#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

#include "op_test.h"
#include "r1/ops/balance_loss.h"
#include "r1/ops/expert_rows.h"
#include "r1/ops/grouped_linear.h"
#include "r1/ops/linear.h"
#include "r1/ops/route.h"
#include "r1/tensor/aten.h"

namespace r1::ops {
namespace {

const std::vector<Tolerance> kFp32{kTolerances[0]};

// K different experts of E for each of `tokens`.
Tensor random_choice(int64_t tokens, int64_t experts, int64_t per_token, uint64_t seed) {
  return choose_experts_ref(randn({tokens, experts}, seed), {}, {.per_token = per_token});
}

// ---- route

std::vector<RouteOptions> kinds() {
  return {{.per_token = 3, .groups = 4, .groups_kept = 2, .scale = 2.5},
          {.softmax = true, .per_token = 3, .normalised = false},
          {.softmax = true, .per_token = 2},
          {.softmax = true, .per_token = 4, .groups = 4, .groups_kept = 3, .group_by_max = true, .normalised = false, .scale = 1.5},
          {.per_token = 1, .normalised = false}};
}

void test_route(at::Device device) {
  for (const RouteOptions& o : kinds()) {
    const Tensor logits = randn({301, 16}, 1) * 3, bias = randn({16}, 2) * 0.3;
    expect_op_equals_ref([&](const Tensors& t) { return expert_scores(t[0], o.softmax); },
                         [&](const Tensors& t) { return expert_scores_ref(t[0], o.softmax); }, {logits}, device, kFp32);
    const Tensor score = expert_scores_ref(logits, o.softmax);
    const Tensor expert = choose_experts(score.to(device, at::kFloat), bias.to(device, at::kFloat), o);
    EXPECT_TRUE(aten::equal(expert.cpu(), choose_experts_ref(score, bias, o)));
    expect_op_equals_ref([&](const Tensors& t) { return expert_gates(t[0], expert.to(t[0].device()), o.normalised, o.scale); },
                         [&](const Tensors& t) { return expert_gates_ref(t[0], expert.to(t[0].device()), o.normalised, o.scale); }, {score},
                         device, kFp32);
    const Routes whole = route(logits.to(device, at::kFloat), bias.to(device, at::kFloat), o);
    EXPECT_TRUE(aten::equal(whole.expert_TK, expert));
    EXPECT_LT(distance(whole.gate_TK, route_ref(logits, bias, o).gate_TK), 1e-5);
  }
}
TEST(Route, EqualsItsDefinition) {
  test_route(at::kCPU);
}
TEST(Route, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_route(at::kCUDA);
}

// From the logits on; the choice stands still under small steps.
TEST(Route, GradientOfTheDefinition) {
  const Tensor bias = randn({8}, 2);
  for (RouteOptions o : kinds()) {
    if (o.groups > 1) o.groups = 4, o.groups_kept = 2;
    expect_ref_gradient([&](const Tensors& t) { return route_ref(t[0], bias, o).gate_TK; }, {randn({3, 8}, 1)});
  }
}

TEST(Route, ByHand) {
  const Tensor logits = aten::tensor({0.0f, 2.0f, 1.0f, -1.0f}).view({1, 4});
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  // The bias changes who is chosen and nothing else.
  const Routes r = route(logits, aten::tensor({0.5f, 0.0f, 0.0f, 0.0f}), {.per_token = 2, .scale = 2.5});
  EXPECT_TRUE(aten::equal(r.expert_TK, aten::tensor(std::vector<int64_t>{0, 1}).view({1, 2})));
  EXPECT_NEAR(r.gate_TK[0][0].item<double>(), 2.5 * sigmoid(0) / (sigmoid(0) + sigmoid(2)), 1e-6);
  EXPECT_NEAR(r.gate_TK.sum().item<double>(), 2.5, 1e-6);
  // Two groups, one counts: 1 + -1 against 0 + 2 by sums of two, and by the best one.
  const Routes g = route(logits, {}, {.per_token = 2, .groups = 2, .groups_kept = 1, .normalised = false});
  EXPECT_TRUE(aten::equal(g.expert_TK, aten::tensor(std::vector<int64_t>{1, 0}).view({1, 2})));
  EXPECT_NEAR(g.gate_TK[0][1].item<double>(), 0.5, 1e-6);
  const Tensor score = aten::tensor({0.5f, 0.4f, 0.6f, 0.1f}).view({1, 4});
  RouteOptions by{.per_token = 1, .groups = 2, .groups_kept = 1};
  EXPECT_EQ(choose_experts(score, {}, by).item<int64_t>(), 0);
  by.group_by_max = true;
  EXPECT_EQ(choose_experts(score, {}, by).item<int64_t>(), 2);
}

TEST(Route, TiesGoToTheLowerExpertAndNanLoses) {
  const Tensor equal = aten::zeros({2, 8});
  const Tensor first = aten::tensor(std::vector<int64_t>{0, 1, 2, 0, 1, 2}).view({2, 3});
  for (const RouteOptions& o : {RouteOptions{.per_token = 3}, RouteOptions{.per_token = 3, .groups = 2, .groups_kept = 1}}) {
    EXPECT_TRUE(aten::equal(choose_experts(equal, {}, o), first));
    EXPECT_TRUE(aten::equal(choose_experts_ref(equal, {}, o), first));
  }
  Tensor broken = aten::zeros({1, 4});
  broken[0][1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(aten::equal(choose_experts(broken, {}, {.per_token = 4}), aten::tensor(std::vector<int64_t>{0, 2, 3, 1}).view({1, 4})));
}

TEST(Route, RowsAndThreadsDoNotMatter) {
  const Tensor logits = randn({700, 64}, 3).to(at::kFloat);
  const int threads = at::get_num_threads();
  for (const RouteOptions& o : kinds()) {
    at::set_num_threads(2);
    const Routes all = route(logits, {}, o);
    at::set_num_threads(1);
    for (const int64_t t : {0, 5, 699}) {
      const Routes one = route(logits.narrow(0, t, 1), {}, o);
      EXPECT_TRUE(aten::equal(one.gate_TK, all.gate_TK.narrow(0, t, 1)));
      EXPECT_TRUE(aten::equal(one.expert_TK, all.expert_TK.narrow(0, t, 1)));
    }
  }
  at::set_num_threads(threads);
}

TEST(Route, SaysWhatItExpected) {
  const Tensor score = aten::zeros({2, 6});
  try {
    choose_experts(score, {}, {.per_token = 4, .groups = 3, .groups_kept = 1});
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "[route] expected 1 to 2 experts a token, got 4");
  }
  EXPECT_THROW(choose_experts(score, {}, {.per_token = 1, .groups = 4, .groups_kept = 1}), Error);
  EXPECT_THROW(choose_experts(score, {}, {.per_token = 1, .groups = 6, .groups_kept = 2}), Error);
  EXPECT_THROW(choose_experts(score, aten::zeros({5}), {.per_token = 1}), Error);
  EXPECT_THROW(expert_scores(score.to(at::kBFloat16), true), Error);
}

// ---- balance_loss

constexpr Balance kBalances[] = {Balance::kSequence, Balance::kBatch, Balance::kSquare};
const std::vector<int32_t> kLengths{0, 4, 4, 5, 21};

void test_balance(at::Device device) {
  const Tensor score = expert_scores_ref(randn({21, 6}, 1), false), expert = random_choice(21, 6, 2, 2);
  for (const Balance kind : kBalances) {
    expect_op_equals_ref([&](const Tensors& t) { return balance_loss(t[0], expert.to(t[0].device()), kLengths, kind); },
                         [&](const Tensors& t) { return balance_loss_ref(t[0], expert.to(t[0].device()), kLengths, kind); }, {score},
                         device, kFp32);
  }
}
TEST(BalanceLoss, EqualsItsDefinition) {
  test_balance(at::kCPU);
}
TEST(BalanceLoss, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_balance(at::kCUDA);
}
TEST(BalanceLoss, GradientOfTheDefinition) {
  const Tensor expert = random_choice(5, 4, 2, 2);
  for (const Balance kind : kBalances)
    expect_ref_gradient(
        [&](const Tensors& t) {
          return balance_loss_ref(t[0], expert, {0, 2, 5}, kind);
        },
        {expert_scores_ref(randn({5, 4}, 1), false)});
}

TEST(BalanceLoss, ByHand) {
  // Four tokens over four experts, two each: even loads and even shares.
  const Tensor even = aten::full({4, 4}, 0.3f), in_turn = aten::tensor(std::vector<int64_t>{0, 1, 2, 3, 0, 1, 2, 3}).view({4, 2});
  EXPECT_NEAR(balance_loss(even, in_turn, {0, 4}, Balance::kSequence).item<double>(), 1, 1e-6);
  EXPECT_NEAR(balance_loss(even, in_turn, {0, 4}, Balance::kBatch).item<double>(), 2, 1e-6);
  EXPECT_NEAR(balance_loss(even, in_turn, {0, 4}, Balance::kSquare).item<double>(), 0, 1e-6);
  // All go to expert 0 and 1, which have all of the score.
  const Tensor hot = aten::tensor({0.5f, 0.5f, 0.0f, 0.0f}).expand({4, 4}),
               same = aten::tensor(std::vector<int64_t>{0, 1}).expand({4, 2}).contiguous();
  EXPECT_NEAR(balance_loss(hot, same, {0, 4}, Balance::kSequence).item<double>(), 2, 1e-6);
  EXPECT_NEAR(balance_loss(hot, same, {0, 4}, Balance::kBatch).item<double>(), 4, 1e-6);
  EXPECT_NEAR(balance_loss(hot, same, {0, 4}, Balance::kSquare).item<double>(), 4.0 / 16, 1e-6);
  EXPECT_THROW(balance_loss(even, in_turn, {0, 3}, Balance::kBatch), Error);
}

TEST(AttachLoss, LeavesTheValueAndAddsTheGradient) {
  const Tensor x = aten::tensor({1.0f, 2.0f}).requires_grad_(), z = aten::tensor({3.0f, 4.0f}).requires_grad_();
  const Tensor loss = (z * z).sum(), y = attach_loss(x, loss, 0.5);
  EXPECT_TRUE(aten::equal(y, x));
  const Tensors grads = gradients({y}, {aten::tensor({10.0f, 20.0f})}, {x, z});
  EXPECT_TRUE(aten::equal(grads[0], aten::tensor({10.0f, 20.0f})));
  EXPECT_TRUE(aten::equal(grads[1], aten::tensor({3.0f, 4.0f})));
  EXPECT_TRUE(attach_loss(x, aten::zeros({}), 1).is_same(x)) << "a loss without a graph has nothing to say";
}

// ---- expert_rows

TEST(SortByExpert, IsAStableSort) {
  const Tensor expert = aten::tensor(std::vector<int64_t>{2, 0, 0, 3, 2, 3}).view({3, 2});
  const ExpertRows rows = sort_by_expert(expert, 5);
  EXPECT_TRUE(aten::equal(rows.token_S, aten::tensor(std::vector<int64_t>{0, 1, 0, 2, 1, 2})));
  EXPECT_TRUE(aten::equal(rows.place_TK, aten::tensor(std::vector<int64_t>{2, 0, 1, 4, 3, 5}).view({3, 2})));
  EXPECT_TRUE(aten::equal(rows.ends_E, aten::tensor(std::vector<int32_t>{2, 2, 4, 6, 6}, at::kInt)));
  EXPECT_THROW(sort_by_expert(expert, 3), Error);
}
TEST(SortByExpert, EqualsTheCpuCuda) {
  SKIP_WITHOUT_CUDA();
  const Tensor expert = random_choice(500, 16, 3, 7);
  const ExpertRows a = sort_by_expert(expert, 16), b = sort_by_expert(expert.cuda(), 16);
  EXPECT_TRUE(aten::equal(a.token_S, b.token_S.cpu()));
  EXPECT_TRUE(aten::equal(a.place_TK, b.place_TK.cpu()));
  EXPECT_TRUE(aten::equal(a.ends_E, b.ends_E.cpu()));
}

ExpertRows rows_on(const Tensor& like, const Tensor& expert) {
  return sort_by_expert(expert.to(like.device()), 8);
}
Tensor gate_of(const Tensor& t) {
  return t.scalar_type() == at::kDouble ? t : t.to(at::kFloat);
}
void test_rows(at::Device device) {
  const Tensor expert = random_choice(37, 8, 3, 1);
  expect_op_equals_ref([&](const Tensors& t) { return gather_rows(t[0], rows_on(t[0], expert)); },
                       [&](const Tensors& t) { return gather_rows_ref(t[0], rows_on(t[0], expert)); }, {randn({37, 43}, 2)}, device);
  expect_op_equals_ref([&](const Tensors& t) { return combine_rows(t[0], gate_of(t[1]), rows_on(t[0], expert)); },
                       [&](const Tensors& t) { return combine_rows_ref(t[0], gate_of(t[1]), rows_on(t[0], expert)); },
                       {randn({111, 43}, 2), randn({37, 3}, 3)}, device);
}
TEST(ExpertRows, EqualTheirDefinition) {
  test_rows(at::kCPU);
}
TEST(ExpertRows, EqualTheirDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_rows(at::kCUDA);
}
TEST(ExpertRows, GradientOfTheDefinition) {
  const Tensor expert = random_choice(4, 8, 2, 1);
  expect_ref_gradient([&](const Tensors& t) { return gather_rows_ref(t[0], rows_on(t[0], expert)); }, {randn({4, 3}, 2)});
  expect_ref_gradient([&](const Tensors& t) { return combine_rows_ref(t[0], t[1], rows_on(t[0], expert)); },
                      {randn({8, 3}, 2), randn({4, 2}, 3)});
}
TEST(ExpertRows, SayWhatTheyExpected) {
  const ExpertRows rows = sort_by_expert(random_choice(4, 8, 2, 1), 8);
  EXPECT_THROW(gather_rows(aten::zeros({3, 2}), rows), Error);
  EXPECT_THROW(combine_rows(aten::zeros({7, 2}), aten::zeros({4, 2}), rows), Error);
  EXPECT_THROW(combine_rows(aten::zeros({8, 2}), aten::zeros({4, 3}), rows), Error);
}

// ---- grouped_linear

Tensor ends_of(const std::vector<int32_t>& ends, at::Device device) {
  return aten::tensor(ends, at::kInt).to(device);
}
void test_grouped(at::Device device) {
  for (const std::vector<int32_t>& ends : {std::vector<int32_t>{0, 7, 8, 8, 40}, std::vector<int32_t>{40, 40, 40, 40, 40}}) {
    expect_op_equals_ref([&](const Tensors& t) { return grouped_linear(t[0], t[1], ends_of(ends, t[0].device())); },
                         [&](const Tensors& t) { return grouped_linear_ref(t[0], t[1], ends_of(ends, at::kCPU)); },
                         {randn({40, 24}, 1), randn({5, 16, 24}, 2)}, device);
  }
}
TEST(GroupedLinear, EqualsItsDefinition) {
  test_grouped(at::kCPU);
}
TEST(GroupedLinear, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_grouped(at::kCUDA);
}
TEST(GroupedLinear, GradientOfTheDefinition) {
  expect_ref_gradient(
      [](const Tensors& t) {
        return grouped_linear_ref(t[0], t[1], ends_of({2, 2, 5}, at::kCPU));
      },
      {randn({5, 3}, 1), randn({3, 2, 3}, 2)});
}
TEST(GroupedLinear, ARowIsThatOfTheExpertsOwnProduct) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const Tensor x = randn({90, 64}, 1).to(type), w = randn({3, 48, 64}, 2).to(type);
    const Tensor y = grouped_linear(x, w, ends_of({1, 30, 90}, at::kCPU));
    EXPECT_TRUE(aten::equal(y.narrow(0, 0, 1), linear(x.narrow(0, 0, 1), w[0]))) << type;
    EXPECT_TRUE(aten::equal(y.narrow(0, 17, 1), linear(x.narrow(0, 17, 1), w[1]))) << type;
    EXPECT_TRUE(aten::equal(y.narrow(0, 30, 60), linear(x.narrow(0, 30, 60), w[2]))) << type;
  }
}
TEST(GroupedLinear, SaysWhatItExpected) {
  EXPECT_THROW(grouped_linear(aten::zeros({2, 3}), aten::zeros({4, 5, 6}), ends_of({0, 0, 1, 2}, at::kCPU)), Error);
  EXPECT_THROW(grouped_linear(aten::zeros({2, 6}), aten::zeros({4, 5, 6}), ends_of({0, 2}, at::kCPU)), Error);
  EXPECT_THROW(grouped_linear(aten::zeros({2, 6}), aten::zeros({4, 5, 6}, at::kBFloat16), ends_of({0, 0, 1, 2}, at::kCPU)), Error);
}

// A layer's gradients on 1, 2 and 3 threads.
TEST(Experts, GradientsDoNotDependOnThreads) {
  const Tensor expert = random_choice(600, 8, 2, 1);
  const Tensors inputs{randn({600, 64}, 1), randn({8, 48, 64}, 2), randn({600, 2}, 3)};
  const Op layer = [&](const Tensors& t) {
    const ExpertRows rows = sort_by_expert(expert, 8);
    return combine_rows(grouped_linear(gather_rows(t[0], rows), t[1], rows.ends_E), t[2], rows);
  };
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Result one = run(layer, inputs, at::kCPU, at::kFloat, randn({600, 48}, 4));
  for (const int n : {2, 3}) {
    at::set_num_threads(n);
    const Result more = run(layer, inputs, at::kCPU, at::kFloat, randn({600, 48}, 4));
    EXPECT_TRUE(aten::equal(one.out, more.out));
    for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(aten::equal(one.grads[i], more.grads[i])) << i << ", threads " << n;
  }
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace r1::ops
