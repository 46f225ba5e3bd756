// Gates and activations of an MLP where gate and up lie side by side in one tensor, and where rows are not dense.
#include "op_test.h"
#include "r1/ops/gelu.h"
#include "r1/ops/swiglu.h"
#include "r1/tensor/aten.h"

namespace r1::ops {
namespace {

constexpr GeluForm kForms[] = {GeluForm::kExact, GeluForm::kTanh};

// F from odd to whole vectors.
void test_joint(at::Device device) {
  for (const int64_t F : {43, 64, 72, 1}) {
    const Tensors joint{randn({17, 2 * F}, 1) * 3};
    expect_op_equals_ref([](const Tensors& t) { return swiglu_joint(t[0]); }, [](const Tensors& t) { return swiglu_joint_ref(t[0]); },
                         joint, device);
    for (const GeluForm form : kForms) {
      expect_op_equals_ref([=](const Tensors& t) { return geglu_joint(t[0], form); },
                           [=](const Tensors& t) { return geglu_joint_ref(t[0], form); }, joint, device);
    }
  }
}
TEST(Glu, JointEqualsItsDefinition) {
  test_joint(at::kCPU);
}
TEST(Glu, JointEqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_joint(at::kCUDA);
}

// Columns of a wider tensor, on and off the bounds of vectors.
void test_strided(at::Device device) {
  const Tensors wide{randn({19, 200}, 1) * 3};
  for (const int64_t first : {0, 8, 5}) {
    expect_op_equals_ref([=](const Tensors& t) { return swiglu_joint(t[0].narrow(1, first, 128)); },
                         [=](const Tensors& t) { return swiglu_joint_ref(t[0].narrow(1, first, 128)); }, wide, device);
    const auto halves = [=](auto* op) { return [=](const Tensors& t) { return op(t[0].narrow(1, first, 80), t[0].narrow(1, 96, 80)); }; };
    expect_op_equals_ref(halves(swiglu), halves(swiglu_ref), wide, device);
    for (const GeluForm form : kForms) {
      expect_op_equals_ref([=](const Tensors& t) { return gelu(t[0].narrow(1, first, 80), form); },
                           [=](const Tensors& t) { return gelu_ref(t[0].narrow(1, first, 80), form); }, wide, device);
      expect_op_equals_ref([=](const Tensors& t) { return geglu(t[0].narrow(1, first, 80), t[0].narrow(1, 96, 80), form); },
                           [=](const Tensors& t) { return geglu_ref(t[0].narrow(1, first, 80), t[0].narrow(1, 96, 80), form); }, wide,
                           device);
    }
  }
}
TEST(Glu, StridedEqualsItsDefinition) {
  test_strided(at::kCPU);
}
TEST(Glu, StridedEqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_strided(at::kCUDA);
}

// What is joint is the two, bit for bit; far gates neither overflow nor give NaN, forward and backward.
void test_bits(at::Device device) {
  const Tensor gate = randn({5, 72}, 1).to(device, at::kFloat), up = randn({5, 72}, 2).to(device, at::kFloat);
  const Tensor joint = aten::cat({gate, up}, 1);
  {
    const c10::NoGradGuard no_grad;
    EXPECT_TRUE(aten::equal(swiglu_joint(joint), swiglu(gate, up)));
    for (const GeluForm form : kForms) EXPECT_TRUE(aten::equal(geglu_joint(joint, form), geglu(gate, up, form)));
  }
  const Tensor far = aten::tensor({-1e4f, 1e4f, -200.0f, 200.0f, -90.0f, 90.0f, 0.0f, -0.0f}).view({1, 8}), one = aten::ones({1, 8});
  for (const Op& op :
       {Op([](const Tensors& t) { return swiglu(t[0], t[1]); }), Op([](const Tensors& t) { return geglu(t[0], t[1], GeluForm::kTanh); }),
        Op([](const Tensors& t) { return geglu(t[0], t[1], GeluForm::kExact); })}) {
    const Result r = run(op, {far, one}, device, at::kFloat, one);
    EXPECT_LE((r.out.cpu() - far.clamp_min(0)).abs().max().item<float>(), 1e-6f);
    EXPECT_LE((r.grads[1].cpu() - far.clamp_min(0)).abs().max().item<float>(), 1e-6f);
    EXPECT_TRUE(aten::isfinite(r.grads[0]).all().item<bool>());
  }
}
TEST(Glu, Bits) {
  test_bits(at::kCPU);
}
TEST(Glu, BitsCuda) {
  SKIP_WITHOUT_CUDA();
  test_bits(at::kCUDA);
}

TEST(Glu, NothingGivesNothingCuda) {
  SKIP_WITHOUT_CUDA();
  const Tensor none = aten::zeros({0, 16}, at::TensorOptions(at::kFloat).device(at::kCUDA)).requires_grad_();
  EXPECT_EQ(swiglu_joint(none).sizes(), (at::IntArrayRef{0, 8}));
  EXPECT_EQ(gelu(none, GeluForm::kTanh).sizes(), none.sizes());
  EXPECT_EQ(gradients({swiglu(none, none)}, {aten::zeros_like(none)}, {none})[0].sizes(), none.sizes());
}

TEST(Glu, SaysWhatItExpected) {
  EXPECT_THROW(swiglu_joint(aten::zeros({2, 3})), Error);
  EXPECT_THROW(swiglu_joint(aten::zeros({4})), Error);
  EXPECT_THROW(geglu_joint(aten::zeros({2, 3}), GeluForm::kTanh), Error);
}

}  // namespace
}  // namespace r1::ops
