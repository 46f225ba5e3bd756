// The blockwise layers against the layers they wrap: the same bits forward and in the gradient of x, near in those of the weights, whose
// sums are cut into blocks.
#include "r1/nn/blockwise.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "r1/nn/mlp.h"
#include "r1/ops/autograd.h"
#include "r1/tensor/aten.h"

namespace r1::nn {
namespace {

constexpr int64_t kDim = 24, kTokens = 45;
const GqaShape kShape{.dim = kDim, .heads = 4, .kv_heads = 2, .head_dim = 8, .qkv_bias = true, .output_bias = true, .qk_norm = true};

LayerContext packed_context() {
  return {ops::sequences_on(at::kCPU, {0, 4, 4, 40, 45})};
}

std::shared_ptr<const ops::RotaryTable> rotary() {
  return std::make_shared<ops::RotaryTable>(ops::rotary_table(ops::rotary_frequencies(8, 10000, {}), 64, at::kCPU));
}

std::vector<Parameter> weights_of(Module& layer) {
  std::vector<Parameter> weights;
  layer.parameters(ParameterList(weights));
  return weights;
}

// One result and the gradients of x (first) and of the weights.
struct Trained {
  Tensor y;
  std::vector<Tensor> grads;
};
template <class Layer>
Trained train(Layer& layer, const Tensor& x_TD, const Tensor& dy_TD) {
  std::vector<Tensor> inputs{x_TD.detach().requires_grad_()};
  for (const Parameter& w : weights_of(layer)) inputs.push_back(w.tensor->requires_grad_());
  const Tensor y = layer(inputs[0], packed_context(), nullptr);
  return {y.detach(), ops::gradients({y}, {dy_TD}, inputs)};
}

// With expanded_dy the gradient of y is one row repeated, as the gradient of a sum over tokens is: not contiguous.
template <class Layer>
void expect_same(Layer& plain, Layer& blockwise, at::ScalarType type, bool expanded_dy) {
  const std::vector<Parameter> from = weights_of(plain), to = weights_of(blockwise);
  ASSERT_EQ(from.size(), to.size());
  for (size_t i = 0; i < from.size(); ++i) {
    const at::NoGradGuard no_grad;
    from[i].tensor->copy_(aten::randn(from[i].tensor->sizes()) * 0.3);
    to[i].tensor->copy_(*from[i].tensor);
  }
  const Tensor x = aten::randn({kTokens, kDim}).to(type),
               dy = aten::randn({expanded_dy ? 1 : kTokens, kDim}).to(type).expand({kTokens, kDim});
  const Trained want = train(plain, x, dy), got = train(blockwise, x, dy);
  if (type == at::kFloat) {
    EXPECT_TRUE(aten::equal(got.y, want.y));
    EXPECT_TRUE(aten::equal(got.grads[0], want.grads[0]));
  }
  const double near = type == at::kFloat ? 1e-5 : type == at::kDouble ? 1e-12 : 2e-2;
  EXPECT_LE((got.y - want.y).abs().max().template item<double>(), near * want.y.abs().max().template item<double>());
  for (size_t i = 0; i < want.grads.size(); ++i) {
    ASSERT_EQ(got.grads[i].scalar_type(), type);
    EXPECT_LE((got.grads[i] - want.grads[i]).abs().max().template item<double>(), near * want.grads[i].abs().max().template item<double>())
        << (i ? from[i - 1].name : "x") << " " << type;
  }
}

TEST(Blockwise, IsFullAttention) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble})
    for (const int64_t block : {1, 7, 16, 100}) {
      GqaShape shape = kShape;
      shape.fused_qkv = block == 7;
      Gqa plain(shape, rotary(), {.dtype = type});
      Blockwise blockwise(shape, rotary(), block, {.dtype = type});
      expect_same<Gqa>(plain, blockwise, type, block == 16);
    }
}

TEST(Blockwise, FeedForwardIsTheWrappedOne) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble})
    for (const int64_t block : {1, 7, 100}) {
      Mlp plain(kDim, 40, {.dtype = type});
      BlockwiseFeedForward blockwise(std::make_unique<Mlp>(kDim, 40, Placement{.dtype = type}), block);
      expect_same<FeedForward>(plain, blockwise, type, block == 7);
    }
}

TEST(Blockwise, SeesEverything) {
  GqaShape shape = kShape;
  shape.window = 8;
  EXPECT_THROW(Blockwise(shape, rotary(), 8, {}), Error);
}

}  // namespace
}  // namespace r1::nn
