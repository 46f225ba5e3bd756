// A module of multi-token prediction against its equations.
#include "r1/nn/mtp.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <map>

#include "r1/base/error.h"
#include "r1/nn/gqa.h"
#include "r1/nn/mlp.h"
#include "r1/ops/linear.h"
#include "r1/ops/norm.h"
#include "r1/tensor/aten.h"

namespace r1::nn {
namespace {

constexpr int64_t kDim = 16, kTokens = 9;

BlockParts block_parts(const std::shared_ptr<const ops::RotaryTable>& rotary) {
  BlockParts p;
  p.attention_norm = std::make_unique<RmsNorm>(kDim, 1e-5, Placement{});
  p.attention =
      std::make_unique<Gqa>(GqaShape{.dim = kDim, .heads = 2, .kv_heads = 1, .head_dim = 8, .norm_eps = 1e-5}, rotary, Placement{});
  p.mlp_norm = std::make_unique<RmsNorm>(kDim, 1e-5, Placement{});
  p.mlp = std::make_unique<Mlp>(kDim, 24, Placement{});
  return p;
}

TEST(Mtp, IsItsEquations) {
  const at::NoGradGuard no_grad;
  const auto norm = [] { return std::make_unique<RmsNorm>(kDim, 1e-5, Placement{}); };
  const auto rotary = std::make_shared<ops::RotaryTable>(ops::rotary_table(ops::rotary_frequencies(8, 10000, {}), 32, at::kCPU));
  Mtp mtp(2, kDim, {.embedding_norm = norm(), .hidden_norm = norm(), .head_norm = norm(), .block = block_parts(rotary)}, {});
  Block block(2, block_parts(rotary));
  std::vector<Parameter> mine, blocks;
  mtp.parameters(ParameterList(mine));
  block.parameters(ParameterList(blocks));
  std::map<std::string, Tensor> w;
  for (const Parameter& p : mine) {
    p.tensor->copy_(aten::randn(p.tensor->sizes()) * 0.4);
    w[p.name] = *p.tensor;
  }
  for (const Parameter& p : blocks) p.tensor->copy_(w.at(p.name));
  EXPECT_EQ(mine.size(), blocks.size() + 4);

  const LayerContext context{ops::sequences_on(at::kCPU, {0, 4, int32_t(kTokens)})};
  const Tensor h_TD = aten::randn({kTokens, kDim}), e_TD = aten::randn({kTokens, kDim});
  const Tensor both = aten::cat({ops::rms_norm_ref(e_TD, w.at("enorm"), 1e-5), ops::rms_norm_ref(h_TD, w.at("hnorm"), 1e-5)}, 1);
  const Tensor g_TD = block({ops::linear_ref(both, w.at("eh_proj"), {}), {}}, context).sum();
  const Tensor found = mtp(h_TD, e_TD, context);
  EXPECT_LT((found - g_TD).abs().max().item<double>(), 1e-5);
  EXPECT_LT((mtp.head_norm(found, context) - ops::rms_norm_ref(g_TD, w.at("shared_head_norm"), 1e-5)).abs().max().item<double>(), 1e-5);
  EXPECT_THROW(mtp(h_TD, e_TD.narrow(0, 0, 3), context), Error);
}

}  // namespace
}  // namespace r1::nn
