#include "r1/nn/joint_linear.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "r1/ops/autograd.h"
#include "r1/tensor/aten.h"

namespace r1::nn {
namespace {

struct Maps {
  Linear a, b;
  JointLinear joint;
  explicit Maps(bool bias) : a(16, 12, bias, {}), b(16, 4, bias, {}) {
    const at::NoGradGuard no_grad;
    for (Linear* map : {&a, &b}) {
      map->weight().normal_();
      if (bias) map->bias().normal_();
      map->weight().requires_grad_();
    }
  }
};

TEST(JointLinear, GivesWhatTheMapsGive) {
  for (const bool bias : {false, true}) {
    Maps maps(bias);
    const Tensor x = aten::randn({5, 16}), before = aten::cat({maps.a(x), maps.b(x)}, 1).detach();
    maps.joint.join({&maps.a, &maps.b});
    ASSERT_TRUE(maps.joint.holds());
    EXPECT_TRUE(aten::allclose(maps.joint(x), before, 1e-5, 1e-5));
    EXPECT_TRUE(aten::allclose(aten::cat({maps.a(x), maps.b(x)}, 1), before, 1e-5, 1e-5)) << "one by one as ever";
    const auto grads = ops::gradients({maps.joint(x)}, {aten::ones({5, 16})}, {maps.a.weight(), maps.b.weight()});
    const Tensor sums = x.sum(0).unsqueeze(0);
    EXPECT_TRUE(aten::allclose(grads[0], sums.expand({12, 16}), 1e-4, 1e-4));
    EXPECT_TRUE(aten::allclose(grads[1], sums.expand({4, 16}), 1e-4, 1e-4));
  }
}

// An optimizer writes into the slots, a loader may put another tensor there.
TEST(JointLinear, FollowsItsSlots) {
  Maps maps(false);
  maps.joint.join({&maps.a, &maps.b});
  const Tensor x = aten::randn({5, 16});
  {
    const at::NoGradGuard no_grad;
    maps.b.weight().fill_(0);
    EXPECT_EQ(maps.joint(x).narrow(1, 12, 4).abs().max().item<float>(), 0);
    maps.b.weight() = aten::ones({4, 16});
  }
  EXPECT_FALSE(maps.joint.holds());
  maps.joint.join({&maps.a, &maps.b});
  EXPECT_TRUE(maps.joint.holds());
  EXPECT_TRUE(aten::allclose(maps.joint(x).narrow(1, 12, 1), x.sum(1, true), 1e-4, 1e-4));
}

TEST(JointLinear, WeightsThatAreNotThereStayApart) {
  Linear a(16, 4, false, {.deferred = true}), b(16, 4, false, {.deferred = true});
  JointLinear joint;
  EXPECT_FALSE(joint.holds());
  joint.join({&a, &b});
  EXPECT_FALSE(joint.holds());
}

}  // namespace
}  // namespace r1::nn
