#include "r1/ops/logprob.h"
#include "r1/tensor/aten.h"

#include <ATen/Parallel.h>

#include <barrier>
#include <cmath>
#include <thread>

#include "op_test.h"

namespace r1::ops {
namespace {

Tensor targets_with_holes(int64_t tokens, int64_t vocab, at::Device device) {
  Tensor targets = random_ids(tokens, vocab, 5);
  targets[3].fill_(-1);
  targets[tokens - 1].fill_(-100);
  return targets.to(device);
}

void test_logprob(at::Device device) {
  const Tensor targets = targets_with_holes(41, 301, device);
  for (const double temperature : {1.0, 0.7}) {
    expect_op_equals_ref([&](const Tensors& t) { return linear_logprob(t[0], t[1], targets.to(t[0].device()), temperature).logprob_T; },
                         [&](const Tensors& t) { return linear_logprob_ref(t[0], t[1], targets.to(t[0].device()), temperature).logprob_T; },
                         {randn({41, 32}, 1), randn({301, 32}, 2) * 0.3}, device);
    const c10::NoGradGuard no_grad;
    const Tensor x = randn({41, 32}, 1).to(device), head = (randn({301, 32}, 2) * 0.3).to(device);
    const auto got = linear_logprob(x.to(at::kFloat), head.to(at::kFloat), targets, temperature, true),
               want = linear_logprob_ref(x, head, targets, temperature, true);
    EXPECT_LE(distance(got.entropy_T, want.entropy_T), 1e-5);
    EXPECT_EQ(got.logprob_T[3].item<float>(), 0.0f);
  }
}
TEST(LinearLogprob, EqualsItsDefinition) {
  test_logprob(at::kCPU);
}
TEST(LinearLogprob, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_logprob(at::kCUDA);
}
TEST(LinearLogprob, GradientOfTheDefinition) {
  const Tensor targets = aten::tensor({1, -1, 3}, at::kLong);
  expect_ref_gradient([&](const Tensors& t) { return linear_logprob_ref(t[0], t[1], targets, 0.8).logprob_T; },
                      {randn({3, 4}, 1), randn({5, 4}, 2)});
}

// Threads in the place of ranks: what one of them gives, all have, added up or the largest.
class ThreadRanks {
 public:
  explicit ThreadRanks(int64_t size) : given_(size_t(size)), all_here_(size) {}
  HeadShare share(int64_t rank, int64_t rows) {
    return {.first = rank * rows,
            .vocabulary = rows * int64_t(given_.size()),
            .sum = [this, rank](Tensor& x) { combine(rank, x, [](const Tensor& a, const Tensor& b) { return a + b; }); },
            .max = [this, rank](Tensor& x) { combine(rank, x, [](const Tensor& a, const Tensor& b) { return aten::maximum(a, b); }); }};
  }

 private:
  void combine(int64_t rank, Tensor& x, const std::function<Tensor(const Tensor&, const Tensor&)>& two) {
    given_[size_t(rank)] = x.clone();
    all_here_.arrive_and_wait();
    Tensor all = given_[0];
    for (size_t r = 1; r < given_.size(); ++r) all = two(all, given_[r]);
    all_here_.arrive_and_wait();
    x.copy_(all);
  }
  std::vector<Tensor> given_;
  std::barrier<> all_here_;
};

// Three ranks with a hundred tokens each; targets of all of them, and none.
void test_shared_head(at::Device device) {
  constexpr int64_t kRanks = 3, kRows = 100, kTokens = 41;
  const Tensor targets = targets_with_holes(kTokens, kRanks * kRows, device), x = randn({kTokens, 32}, 1).to(device, at::kFloat),
               head = (randn({kRanks * kRows, 32}, 2) * 0.3).to(device, at::kFloat), d = randn({kTokens}, 4).to(device, at::kFloat);
  const auto leaf = [](const Tensor& t) { return t.detach().clone().requires_grad_(); };
  for (const double temperature : {1.0, 0.7}) {
    const Tensor whole_x = leaf(x), whole_head = leaf(head);
    const LogProbs want = linear_logprob(whole_x, whole_head, targets, temperature, true);
    (want.logprob_T * d).sum().backward();
    ThreadRanks ranks(kRanks);
    std::vector<Tensor> xs, heads;
    std::vector<LogProbs> got(kRanks);
    for (int64_t r = 0; r < kRanks; ++r) xs.push_back(leaf(x)), heads.push_back(leaf(head.narrow(0, r * kRows, kRows)));
    std::vector<std::thread> threads;
    for (int64_t r = 0; r < kRanks; ++r)
      threads.emplace_back([&, r] {
        const HeadShare share = ranks.share(r, kRows);
        got[size_t(r)] = linear_logprob(xs[size_t(r)], heads[size_t(r)], targets, temperature, true, &share);
        (got[size_t(r)].logprob_T * d).sum().backward();
      });
    for (std::thread& thread : threads) thread.join();
    Tensor dx = aten::zeros_like(x);
    for (size_t r = 0; r < size_t(kRanks); ++r) {
      EXPECT_LE(distance(got[r].logprob_T, want.logprob_T), 1e-5);
      EXPECT_LE(distance(got[r].entropy_T, want.entropy_T), 1e-5);
      EXPECT_LE(distance(heads[r].grad(), whole_head.grad().narrow(0, int64_t(r) * kRows, kRows)), 1e-5);
      EXPECT_EQ(got[r].logprob_T[3].item<float>(), 0.0f);
      EXPECT_TRUE(aten::equal(got[r].logprob_T, got[0].logprob_T));
      dx = dx + xs[r].grad();
    }
    EXPECT_LE(distance(dx, whole_x.grad()), 1e-5);
  }
}
TEST(LinearLogprob, AHeadThatRanksShareGivesTheSame) {
  test_shared_head(at::kCPU);
}
TEST(LinearLogprob, AHeadThatRanksShareGivesTheSameCuda) {
  SKIP_WITHOUT_CUDA();
  test_shared_head(at::kCUDA);
}

// More than one chunk: 16M floats over 70,000 words are 232 rows.
TEST(LinearLogprob, ChunksGiveTheSameBitsAsRowsAlone) {
  const int64_t vocab = 70000, tokens = 300;
  const Tensor x = randn({tokens, 8}, 1).to(at::kFloat), head = randn({vocab, 8}, 2).to(at::kFloat), targets = random_ids(tokens, vocab, 3);
  const c10::NoGradGuard no_grad;
  const auto all = linear_logprob(x, head, targets, 0.9, true);
  for (const int64_t t : {0, 231, 232, 299}) {
    const auto one = linear_logprob(x.narrow(0, t, 1), head, targets.narrow(0, t, 1), 0.9, true);
    EXPECT_TRUE(aten::equal(one.logprob_T, all.logprob_T.narrow(0, t, 1))) << t;
    EXPECT_TRUE(aten::equal(one.entropy_T, all.entropy_T.narrow(0, t, 1))) << t;
  }
  const c10::AutoGradMode grad(true);
  const Op op = [&](const Tensors& t) { return linear_logprob(t[0], t[1], targets).logprob_T; };
  const Tensor dout = randn({tokens}, 9);
  const Result whole = run(op, {x, head}, at::kCPU, at::kFloat, dout);
  const Op ref = [&](const Tensors& t) { return linear_logprob_ref(t[0], t[1], targets).logprob_T; };
  const Result want = run(ref, {x, head}, at::kCPU, at::kDouble, dout);
  EXPECT_LE(distance(whole.grads[0], want.grads[0]), 2e-5);
  EXPECT_LE(distance(whole.grads[1], want.grads[1]), 2e-5);
}

// Odd vocabularies, ones that fill the vectors, and more rows than a chunk of the device holds.
TEST(LinearLogprob, VocabulariesAndChunksCuda) {
  SKIP_WITHOUT_CUDA();
  for (const auto& [tokens, vocab] : std::vector<std::pair<int64_t, int64_t>>{{5, 7}, {37, 50257}, {130, 32768}, {5300, 70001}}) {
    const Tensor targets = targets_with_holes(tokens, vocab, at::kCUDA);
    const Tensors inputs{randn({tokens, 16}, 1), randn({vocab, 16}, 2)};
    expect_op_equals_ref([&](const Tensors& t) { return linear_logprob(t[0], t[1], targets.to(t[0].device()), 0.8).logprob_T; },
                         [&](const Tensors& t) { return linear_logprob_ref(t[0], t[1], targets.to(t[0].device()), 0.8).logprob_T; }, inputs,
                         at::kCUDA);
    const c10::NoGradGuard no_grad;
    const Tensor x = inputs[0].to(at::kCUDA), head = inputs[1].to(at::kCUDA);
    EXPECT_LE(distance(linear_logprob(x.to(at::kFloat), head.to(at::kFloat), targets, 0.8, true).entropy_T,
                       linear_logprob_ref(x, head, targets, 0.8, true).entropy_T),
              2e-5);
  }
}

// Somebody wants one gradient only.
void test_one_gradient(at::Device device) {
  const Tensor targets = targets_with_holes(41, 301, device);
  const Tensor x = randn({41, 32}, 1).to(device, at::kFloat), head = randn({301, 32}, 2).to(device, at::kFloat);
  const Tensor x_leaf = x.clone().requires_grad_(), head_leaf = head.clone().requires_grad_();
  const auto loss = [&](const Tensor& a, const Tensor& b) { return linear_logprob(a, b, targets).logprob_T.sum(); };
  const Tensors both = gradients({loss(x_leaf, head_leaf)}, {Tensor()}, {x_leaf, head_leaf});
  EXPECT_LE(distance(gradients({loss(x_leaf, head)}, {Tensor()}, {x_leaf})[0], both[0]), 1e-6);
  EXPECT_LE(distance(gradients({loss(x, head_leaf)}, {Tensor()}, {head_leaf})[0], both[1]), 1e-6);
  const Tensor weights = randn({41}, 6).to(device, at::kFloat);
  const auto nll = [&](const Tensor& a, const Tensor& b) { return linear_nll(a, b, targets, weights).sum; };
  const Tensors nll_both = gradients({nll(x_leaf, head_leaf)}, {Tensor()}, {x_leaf, head_leaf});
  EXPECT_LE(distance(gradients({nll(x_leaf, head)}, {Tensor()}, {x_leaf})[0], nll_both[0]), 1e-6);
  EXPECT_LE(distance(gradients({nll(x, head_leaf)}, {Tensor()}, {head_leaf})[0], nll_both[1]), 1e-6);
}
TEST(LinearLogprob, OneGradient) {
  test_one_gradient(at::kCPU);
}
TEST(LinearLogprob, OneGradientCuda) {
  SKIP_WITHOUT_CUDA();
  test_one_gradient(at::kCUDA);
}

// ---- linear_nll
void test_nll(at::Device device, int64_t tokens, int64_t vocab) {
  const Tensor targets = targets_with_holes(tokens, vocab, device), weights = randn({tokens}, 6).abs().to(device);
  weights[1].fill_(0);
  const auto weights_for = [&](const Tensor& x) { return weights.to(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat); };
  for (const double temperature : {1.0, 0.7}) {
    // A factor after it, as a loss has it.
    const auto with = [&](auto* op) {
      return Op([=](const Tensors& t) { return op(t[0], t[1], targets, weights_for(t[0]), temperature).sum * 0.25; });
    };
    for (const Tolerance& tolerance : kTolerances) {
      Tensors inputs;
      for (const Tensor& t : {randn({tokens, 32}, 1), randn({vocab, 32}, 2) * 0.3}) inputs.push_back(t.to(tolerance.type).to(at::kDouble));
      const Result got = run(with(linear_nll), inputs, device, tolerance.type, aten::scalar_tensor(1.5)),
                   want = run(with(linear_nll_ref), inputs, device, at::kDouble, aten::scalar_tensor(1.5));
      EXPECT_LE(distance(got.out, want.out), tolerance.value) << tolerance.type;
      for (size_t i = 0; i < 2; ++i) EXPECT_LE(distance(got.grads[i], want.grads[i]), tolerance.gradient) << tolerance.type << " " << i;
    }
  }
  const Tensor x = randn({tokens, 32}, 1).to(device, at::kFloat).requires_grad_(), head = randn({vocab, 32}, 2).to(device, at::kFloat);
  const Nll nll = linear_nll(x, head, targets, weights.to(at::kFloat));
  EXPECT_FALSE(nll.logprob_T.requires_grad());
  EXPECT_LE(distance(nll.logprob_T, linear_logprob(x, head, targets).logprob_T), 1e-6);
}
TEST(LinearNll, EqualsItsDefinition) {
  test_nll(at::kCPU, 41, 301);
}
TEST(LinearNll, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_nll(at::kCUDA, 41, 301);
  test_nll(at::kCUDA, 9, 50257);
  test_nll(at::kCUDA, 300, 131072);
}
TEST(LinearNll, SaysWhatItExpected) {
  const Tensor x = aten::zeros({2, 3}), head = aten::zeros({5, 3}), targets = aten::zeros({2}, at::kLong);
  EXPECT_THROW(linear_nll(x, head, targets, aten::zeros({3})), Error);
  EXPECT_THROW(linear_nll(x, head, targets, aten::zeros({2}, at::kLong)), Error);
}

TEST(LinearLogprob, ExtremeLogitsStayFinite) {
  const Tensor x = aten::tensor({1.0f}).view({1, 1}), head = aten::tensor({3e4f, -3e4f, 0.0f}).view({3, 1});
  const auto r = linear_logprob(x, head, aten::tensor({1}, at::kLong), 1, true);
  EXPECT_EQ(r.logprob_T[0].item<float>(), -6e4f);
  EXPECT_EQ(r.entropy_T[0].item<float>(), 0.0f);
}
TEST(LinearLogprob, SaysWhatItExpected) {
  const Tensor x = aten::zeros({2, 3}), head = aten::zeros({5, 3});
  EXPECT_THROW(linear_logprob(x, aten::zeros({5, 4}), aten::zeros({2}, at::kLong)), Error);
  EXPECT_THROW(linear_logprob(x, head, aten::zeros({3}, at::kLong)), Error);
  EXPECT_THROW(linear_logprob(x, head, aten::zeros({2}, at::kLong), 0), Error);
  EXPECT_THROW(linear_logprob(x, head, aten::tensor({0, 5}, at::kLong)), Error);
}

}  // namespace
}  // namespace r1::ops
