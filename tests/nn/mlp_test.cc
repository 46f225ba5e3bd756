// The dense MLPs against their equations, each in its own words: results, gradients by finite differences, rows that know nothing of each
// other, dropout.
#include "r1/nn/mlp.h"
#include "r1/tensor/aten.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <map>

#include "tests/ops/op_test.h"

namespace r1::nn {
namespace {

constexpr int64_t kDim = 24, kInner = 40;
constexpr double kEps = 1e-3;

struct Filled {
  Mlp mlp;
  std::map<std::string, Tensor> w;

  Filled(MlpShape shape, at::ScalarType type) : mlp(shape, Placement{.device = at::kCPU, .dtype = type}) {
    std::vector<Parameter> parameters;
    mlp.parameters(ParameterList(parameters));
    for (size_t i = 0; i < parameters.size(); ++i) {
      const Parameter& p = parameters[i];
      p.tensor->copy_(ops::randn(p.tensor->sizes(), 10 + i) * 0.4 + (p.name == "norm" ? 1 : 0));
      w[p.name] = *p.tensor;
    }
  }
  Tensor product(const Tensor& x, const std::string& name) const {
    const Tensor y = x.matmul(w.at(name).to(at::kDouble).t());
    return w.count(name + "_bias") ? y + w.at(name + "_bias").to(at::kDouble) : y;
  }
};

MlpShape shape_of(MlpShape::Activation activation, bool bias = false) {
  return {.activation = activation, .dim = kDim, .inner = kInner, .bias = bias, .norm_eps = kEps};
}

Tensor gelu_by_hand(const Tensor& x) {
  return 0.5 * x * (1 + aten::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

// The norm of each token's neurons, with the variance over all of them.
Tensor norm_by_hand(const Filled& f, const Tensor& u_TF) {
  const Tensor centred = u_TF - u_TF.mean(-1, true);
  const Tensor normed = centred / aten::sqrt((centred * centred).mean(-1, true) + kEps);
  return normed * f.w.at("norm").to(at::kDouble) + f.w.at("norm_bias").to(at::kDouble);
}

Tensor by_hand(const Filled& f, MlpShape::Activation activation, const Tensor& x) {
  const Tensor up = f.product(x, "up");
  switch (activation) {
    case MlpShape::kSwiGlu: {
      const Tensor gate = f.product(x, "gate");
      return f.product(gate / (1 + (-gate).exp()) * up, "down");
    }
    case MlpShape::kGeGlu:
      return f.product(gelu_by_hand(f.product(x, "gate")) * up, "down");
    case MlpShape::kGelu:
      return f.product(gelu_by_hand(up), "down");
    case MlpShape::kNormGelu:
      break;
  }
  return f.product(gelu_by_hand(norm_by_hand(f, up)), "down");
}

constexpr MlpShape::Activation kAll[] = {MlpShape::kSwiGlu, MlpShape::kGeGlu, MlpShape::kGelu, MlpShape::kNormGelu};

TEST(Mlp, IsItsEquations) {
  const at::NoGradGuard no_grad;
  for (const auto activation : kAll) {
    for (const bool bias : {false, true}) {
      for (const auto& [type, tolerance] : std::map<at::ScalarType, double>{{at::kFloat, 2e-5}, {at::kBFloat16, 3e-2}}) {
        const Filled f(shape_of(activation, bias), type);
        const Tensor x = ops::randn({13, kDim}, 1).to(type);
        EXPECT_LT(ops::distance(f.mlp(x), by_hand(f, activation, x.to(at::kDouble))), tolerance) << activation << " " << type;
      }
    }
  }
}

// Through the layer in fp64, in its input and in every weight.
TEST(Mlp, GradientByFiniteDifferences) {
  for (const auto activation : kAll) {
    Filled f(shape_of(activation, true), at::kDouble);
    std::vector<Parameter> parameters;
    f.mlp.parameters(ParameterList(parameters));
    ops::Tensors inputs{ops::randn({3, kDim}, 1)};
    for (const Parameter& p : parameters) inputs.push_back(p.tensor->clone());
    ops::expect_ref_gradient(
        [&](const ops::Tensors& t) {
          for (size_t i = 0; i < parameters.size(); ++i) *parameters[i].tensor = t[i + 1];
          return f.mlp(t[0]);
        },
        inputs);
  }
}

TEST(Mlp, RowsKnowNothingOfEachOther) {
  const at::NoGradGuard no_grad;
  for (const auto activation : kAll) {
    const Filled f(shape_of(activation, true), at::kFloat);
    const Tensor x = ops::randn({29, kDim}, 1).to(at::kFloat), all = f.mlp(x);
    for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 1}, {28, 1}, {3, 7}, {5, 20}})
      EXPECT_TRUE(aten::equal(f.mlp(x.narrow(0, first, count)), all.narrow(0, first, count)))
          << activation << " rows " << first << "+" << count;
  }
}

// A scale and a shift that all of a token's neurons share do not get past the norm; eps is the config's.
TEST(Mlp, TheNormTakesScaleAndShiftAway) {
  const at::NoGradGuard no_grad;
  MlpShape shape = shape_of(MlpShape::kNormGelu, true);
  shape.norm_eps = 1e-12;
  Filled f(shape, at::kDouble);
  const Tensor x = ops::randn({5, kDim}, 1), before = f.mlp(x);
  f.w.at("up").mul_(3);
  f.w.at("up_bias").mul_(3).add_(7);
  EXPECT_LT(ops::distance(f.mlp(x), before), 1e-9);
}

TEST(Mlp, DropsNeuronsInTrainingOnly) {
  const at::NoGradGuard no_grad;
  MlpShape shape = shape_of(MlpShape::kNormGelu);
  shape.dropout = 0.5;
  const Filled f(shape, at::kFloat);
  const Tensor x = ops::randn({9, kDim}, 1).to(at::kFloat);
  LayerContext context;
  EXPECT_TRUE(aten::equal(f.mlp(x, context, nullptr), f.mlp(x)));
  context.aux_scale = 1, context.dropout_seed = 4;
  const Tensor once = f.mlp(x, context, nullptr);
  EXPECT_FALSE(aten::equal(once, f.mlp(x)));
  EXPECT_TRUE(aten::equal(once, f.mlp(x, context, nullptr)));
}

}  // namespace
}  // namespace r1::nn
