#include "r1/ops/logprob.h"
#include "r1/tensor/aten.h"

#include <ATen/Parallel.h>

#include <cmath>

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
