// A block against its equations written out with the definitions of the ops.
#include "r1/nn/block.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "r1/base/error.h"
#include "r1/nn/gqa.h"
#include "r1/nn/mlp.h"
#include "r1/ops/attention.h"
#include "r1/ops/linear.h"
#include "r1/ops/norm.h"
#include "r1/ops/swiglu.h"
#include "r1/tensor/aten.h"

namespace r1::nn {
namespace {

constexpr int64_t kDim = 24, kInner = 40, kHeads = 4, kKvHeads = 2, kHeadDim = 8, kTokens = 13;

struct Fixture {
  std::shared_ptr<const ops::RotaryTable> rotary =
      std::make_shared<ops::RotaryTable>(ops::rotary_table(ops::rotary_frequencies(kHeadDim, 10000, {}), 64, at::kCPU));
  Block block;
  std::map<std::string, Tensor> w;
  LayerContext context;
  Tensor x_TD = aten::randn({kTokens, kDim});

  static BlockParts parts(bool bias, bool qk_norm, std::shared_ptr<const ops::RotaryTable> rotary) {
    const GqaShape shape{.dim = kDim,
                         .heads = kHeads,
                         .kv_heads = kKvHeads,
                         .head_dim = kHeadDim,
                         .qkv_bias = bias,
                         .output_bias = bias,
                         .qk_norm = qk_norm,
                         .norm_eps = 1e-5};
    BlockParts p;
    p.attention_norm = std::make_unique<RmsNorm>(kDim, 1e-5, Placement{});
    p.attention = std::make_unique<Gqa>(shape, std::move(rotary), Placement{});
    p.mlp_norm = std::make_unique<RmsNorm>(kDim, 1e-5, Placement{});
    p.mlp = std::make_unique<Mlp>(kDim, kInner, Placement{});
    return p;
  }
  explicit Fixture(bool bias, bool qk_norm) : block(3, parts(bias, qk_norm, rotary)) {
    std::vector<Parameter> parameters;
    block.parameters(ParameterList(parameters));
    for (const Parameter& p : parameters) {
      p.tensor->copy_(aten::randn(p.tensor->sizes()) * 0.3);
      w[p.name] = *p.tensor;
    }
    context.sequences = ops::sequences_on(at::kCPU, {0, 4, 13});
  }
  Tensor at_name(const std::string& name) const { return w.count(name) ? w.at(name) : Tensor(); }
};

Tensor by_hand(const Fixture& f) {
  const auto lin = [&](const Tensor& x, const std::string& name) { return ops::linear_ref(x, f.w.at(name), f.at_name(name + "_bias")); };
  const Tensor n_TD = ops::rms_norm_ref(f.x_TD, f.w.at("attention_norm"), 1e-5);
  Tensor q = lin(n_TD, "attention.q").view({kTokens, kHeads, kHeadDim}), k = lin(n_TD, "attention.k").view({kTokens, kKvHeads, kHeadDim});
  const Tensor v = lin(n_TD, "attention.v").view({kTokens, kKvHeads, kHeadDim});
  if (f.w.count("attention.q_norm")) {
    q = ops::rms_norm_ref(q, f.w.at("attention.q_norm"), 1e-5);
    k = ops::rms_norm_ref(k, f.w.at("attention.k_norm"), 1e-5);
  }
  q = ops::rotary_ref(q, *f.rotary, f.context.sequences.positions_T);
  k = ops::rotary_ref(k, *f.rotary, f.context.sequences.positions_T);
  const Tensor a = ops::attention_ref(q, k, v, f.context.sequences, 1 / std::sqrt(8.0)).reshape({kTokens, kHeads * kHeadDim});
  const Tensor h_TD = f.x_TD + lin(a, "attention.o"), m_TD = ops::rms_norm_ref(h_TD, f.w.at("mlp_norm"), 1e-5);
  return h_TD + lin(ops::swiglu_ref(lin(m_TD, "mlp.gate"), lin(m_TD, "mlp.up")), "mlp.down");
}

TEST(Block, IsItsEquations) {
  const at::NoGradGuard no_grad;
  for (const bool bias : {false, true}) {
    for (const bool qk_norm : {false, true}) {
      const Fixture f(bias, qk_norm);
      EXPECT_EQ(f.w.size(), 9u + (bias ? 4 : 0) + (qk_norm ? 2 : 0));
      EXPECT_LT((f.block({f.x_TD, {}}, f.context).sum() - by_hand(f)).abs().max().item<double>(), 1e-4) << bias << qk_norm;
    }
  }
}

TEST(Block, DropoutDependsOnSeedAndLayerOnly) {
  const at::NoGradGuard no_grad;
  Fixture f(false, false);
  f.context.dropout = 0.5;
  f.context.dropout_seed = 1;
  const Tensor once = f.block({f.x_TD, {}}, f.context).sum();
  EXPECT_TRUE(aten::equal(once, f.block({f.x_TD, {}}, f.context).sum()));
  f.context.dropout_seed = 2;
  EXPECT_FALSE(aten::equal(once, f.block({f.x_TD, {}}, f.context).sum()));
}

TEST(Block, CacheAndPagedContextGoTogether) {
  const at::NoGradGuard no_grad;
  const Fixture f(false, false);
  const LayerCache cache = aten::randn({4});
  EXPECT_THROW(f.block({f.x_TD, {}}, f.context, {.attention = &cache}), Error);
}

}  // namespace
}  // namespace r1::nn
