// GELU in both forms, GEGLU, LayerNorm and the two fused.
#include "r1/ops/gelu.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "op_test.h"
#include "r1/ops/layer_norm.h"
#include "r1/tensor/aten.h"

namespace r1::ops {
namespace {

constexpr GeluForm kForms[] = {GeluForm::kExact, GeluForm::kTanh};

void test_gelu(at::Device device) {
  for (const GeluForm form : kForms) {
    expect_op_equals_ref([=](const Tensors& t) { return gelu(t[0], form); }, [=](const Tensors& t) { return gelu_ref(t[0], form); },
                         {randn({17, 43}, 1) * 3}, device);
    expect_op_equals_ref([=](const Tensors& t) { return geglu(t[0], t[1], form); },
                         [=](const Tensors& t) { return geglu_ref(t[0], t[1], form); }, {randn({17, 43}, 1) * 3, randn({17, 43}, 2)},
                         device);
  }
}
TEST(Gelu, EqualsItsDefinition) {
  test_gelu(at::kCPU);
}
TEST(Gelu, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_gelu(at::kCUDA);
}
TEST(Gelu, GradientOfTheDefinition) {
  for (const GeluForm form : kForms) {
    expect_ref_gradient([=](const Tensors& t) { return gelu_ref(t[0], form); }, {randn({2, 5}, 1) * 2});
    expect_ref_gradient([=](const Tensors& t) { return geglu_ref(t[0], t[1], form); }, {randn({2, 3}, 1), randn({2, 3}, 2)});
  }
}
// The normal distribution's values, from its tables, over the whole range that float tells from 0 and 1.
TEST(Gelu, ByHand) {
  for (double x = -9; x <= 9; x += 0.0371) {
    const double exact = 0.5 * x * std::erfc(-x * M_SQRT1_2), u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    const Tensor t = aten::tensor({float(x)});
    EXPECT_NEAR(gelu(t, GeluForm::kExact).item<double>(), exact, 4e-7 * std::max(1.0, std::abs(exact))) << x;
    EXPECT_NEAR(gelu(t, GeluForm::kTanh).item<double>(), 0.5 * x * (1 + std::tanh(u)), 1e-6 * std::max(1.0, std::abs(exact))) << x;
  }
  EXPECT_EQ(gelu(aten::tensor({200.0f}), GeluForm::kExact).item<float>(), 200.0f);
  EXPECT_EQ(gelu(aten::tensor({-200.0f}), GeluForm::kTanh).item<float>(), 0.0f);
  EXPECT_TRUE(std::isnan(gelu(aten::tensor({NAN}), GeluForm::kExact).item<float>()));
  EXPECT_THROW(geglu(aten::zeros({2, 3}), aten::zeros({3, 2}), GeluForm::kTanh), Error);
}

// ---- layer_norm
const Op kNorm = [](const Tensors& t) { return layer_norm(t[0], t[1], t[2], 1e-5); };
const Op kNormRef = [](const Tensors& t) { return layer_norm_ref(t[0], t[1], t[2], 1e-5); };
Op fused(GeluForm form) {
  return [form](const Tensors& t) { return layer_norm_gelu(t[0], t[1], t[2], 1e-5, form); };
}
Op fused_ref(GeluForm form) {
  return [form](const Tensors& t) { return layer_norm_gelu_ref(t[0], t[1], t[2], 1e-5, form); };
}

void test_norm(at::Device device) {
  for (const Tensors& inputs : {Tensors{randn({33, 48}, 1) + 2, randn({48}, 2), randn({48}, 3)},
                                Tensors{randn({5, 3, 19}, 1) * 1e-3, randn({19}, 2), randn({19}, 3)}}) {
    expect_op_equals_ref(kNorm, kNormRef, inputs, device);
    for (const GeluForm form : kForms) expect_op_equals_ref(fused(form), fused_ref(form), inputs, device);
  }
}
TEST(LayerNorm, EqualsItsDefinition) {
  test_norm(at::kCPU);
}
TEST(LayerNorm, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_norm(at::kCUDA);
}
TEST(LayerNorm, GradientOfTheDefinition) {
  const Tensors inputs{randn({3, 5}, 1), randn({5}, 2), randn({5}, 3)};
  expect_ref_gradient(kNormRef, inputs);
  for (const GeluForm form : kForms) expect_ref_gradient(fused_ref(form), inputs);
}
TEST(LayerNorm, ByHand) {
  const Tensor y =
      layer_norm(aten::tensor({1.0f, 2.0f, 6.0f}).view({1, 3}), aten::tensor({1.0f, 2.0f, 1.0f}), aten::tensor({0.0f, 0.5f, 0.0f}), 0);
  const double deviation = std::sqrt(14.0 / 3);
  EXPECT_NEAR(y[0][0].item<double>(), -2 / deviation, 1e-6);
  EXPECT_NEAR(y[0][1].item<double>(), -2 / deviation + 0.5, 1e-6);
  EXPECT_NEAR(y[0][2].item<double>(), 3 / deviation, 1e-6);
  try {
    layer_norm(aten::zeros({2, 3}), aten::zeros({2}), aten::zeros({2}), 0);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "[layer_norm] expected x [..., D], weight and bias [D], got [2, 3], [2] and [2]");
  }
}

// A row's bits are its own; the fused op's forward rounds once, so in fp32 it is the two ops, bit for bit; no gradient sees the threads.
TEST(LayerNorm, BitsOfRowsAndThreads) {
  const Tensors inputs{randn({700, 100}, 1), randn({100}, 2), randn({100}, 3)};
  const Op op = fused(GeluForm::kTanh);
  {
    const c10::NoGradGuard no_grad;
    Tensors t;
    for (const Tensor& input : inputs) t.push_back(input.to(at::kFloat));
    const Tensor whole = op(t);
    EXPECT_TRUE(aten::equal(whole, gelu(layer_norm(t[0], t[1], t[2], 1e-5), GeluForm::kTanh)));
    EXPECT_TRUE(aten::equal(op({t[0].narrow(0, 37, 1), t[1], t[2]}), whole.narrow(0, 37, 1)));
  }
  const int threads = at::get_num_threads();
  for (const Op& each : {op, kNorm}) {
    at::set_num_threads(1);
    const Result one = run(each, inputs, at::kCPU, at::kFloat, randn({700, 100}, 4));
    at::set_num_threads(2);
    const Result two = run(each, inputs, at::kCPU, at::kFloat, randn({700, 100}, 4));
    for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(aten::equal(one.grads[i], two.grads[i])) << i;
  }
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace r1::ops
