#include "r1/nn/joint_linear.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "r1/ops/autograd.h"
#include "r1/tensor/aten.h"
#include "tests/tensor/random_packed.h"

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

// Packed maps stay where they are and give what each gives; a map that is plain again, or whose inputs somebody asks for, goes alone.
TEST(JointLinear, PackedMapsTogether) {
  const at::NoGradGuard no_grad;
  Linear a(64, 24, true, {}), b(64, 16, true, {});
  for (Linear* map : {&a, &b}) map->bias().normal_();
  JointLinear joint;
  joint.join_where_they_are({&a, &b});
  const Tensor x = aten::randn({5, 64});
  EXPECT_FALSE(joint.multiplies_packed(x));
  std::vector<Parameter> all;
  for (Linear* map : {&a, &b}) map->parameters(ParameterList(all));
  all[0].weight->pack(tensor::random_packed(GgmlType::kQ4_0, 24, 64, 1));
  EXPECT_FALSE(joint.multiplies_packed(x));
  all[2].weight->pack(tensor::random_packed(GgmlType::kQ8_0, 16, 64, 2));
  ASSERT_TRUE(joint.multiplies_packed(x));
  EXPECT_FALSE(joint.holds());
  const auto y = joint.apart(x);
  EXPECT_TRUE(aten::equal(y[0], a(x)));
  EXPECT_TRUE(aten::equal(y[1], b(x)));
  EXPECT_FALSE(joint.multiplies_packed(x.to(at::kDouble)));
  all[2].weight->on_input([](const Tensor& given, int64_t) { return given; });
  EXPECT_FALSE(joint.multiplies_packed(x));
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
