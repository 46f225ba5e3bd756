#include <gtest/gtest.h>

#include "tests/ops/op_test.h"

namespace r1::ops {
namespace {

// (2 x, x * w, x): the parts that nobody uses have no gradient.
Tensors three_parts(const Tensor& x, const Tensor& w, Wanted* seen = nullptr) {
  Tensors parts;
  {
    const c10::NoGradGuard no_grad;
    parts = {x * 2, x * w, x.clone()};
  }
  return differentiable_many("three_parts", parts, {x, w}, {x, w, parts[1]},
                             [seen](const Tensors& dys, const Tensors& saved, const Wanted& want) {
                               EXPECT_EQ(dys.size(), 3u);
                               EXPECT_TRUE(aten::equal(saved[2], saved[0] * saved[1])) << "an output may be saved";
                               if (seen) *seen = {dys[0].defined(), dys[1].defined(), dys[2].defined()};
                               Tensor dx = aten::zeros_like(saved[0]), dw;
                               if (dys[0].defined()) dx.add_(dys[0], 2);
                               if (dys[1].defined()) dx.add_(dys[1] * saved[1]);
                               if (dys[2].defined()) dx.add_(dys[2]);
                               if (dys[1].defined() && want[1]) dw = dys[1] * saved[0];
                               return Tensors{dx, dw};
                             });
}

TEST(AutogradMany, EveryOutputSendsItsGradient) {
  const Tensor x = randn({5}, 1).requires_grad_(), w = randn({5}, 2).requires_grad_();
  const Tensor d0 = randn({5}, 3), d1 = randn({5}, 4), d2 = randn({5}, 5);
  const Tensors parts = three_parts(x, w);
  for (const Tensor& part : parts) EXPECT_TRUE(part.requires_grad());
  const Tensors grads = gradients(parts, {d0, d1, d2}, {x, w});
  EXPECT_LE(distance(grads[0], d0 * 2 + d1 * w.detach() + d2), 1e-15);
  EXPECT_LE(distance(grads[1], d1 * x.detach()), 1e-15);
}

TEST(AutogradMany, AnOutputThatNobodyUsesHasNoGradient) {
  const Tensor x = randn({5}, 1).requires_grad_(), w = randn({5}, 2).requires_grad_();
  Wanted seen;
  const Tensors parts = three_parts(x, w, &seen);
  const Tensors grads = gradients({parts[2].sum()}, {aten::ones({}, at::kDouble)}, {x, w});
  EXPECT_EQ(seen, (Wanted{false, false, true}));
  EXPECT_LE(distance(grads[0], aten::ones({5}, at::kDouble)), 1e-15);
  EXPECT_FALSE(grads[1].defined());
}

TEST(AutogradMany, OutputsMeetAgainFurtherOn) {
  const Tensor x = randn({5}, 1).requires_grad_(), w = randn({5}, 2);
  Wanted seen;
  const Tensors parts = three_parts(x, w, &seen);
  const Tensors grads = gradients({(parts[0] * parts[1]).sum()}, {aten::ones({}, at::kDouble)}, {x});
  EXPECT_EQ(seen, (Wanted{true, true, false}));
  EXPECT_LE(distance(grads[0], x.detach() * w * 4), 1e-15);
}

}  // namespace
}  // namespace r1::ops
