#include "r1/nn/moe.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <map>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"

namespace r1::nn {
namespace {

constexpr int64_t kTokens = 23, kDim = 16, kExperts = 6, kInner = 12;

MoeShape shape(bool softmax, int64_t shared, bool context) {
  MoeShape s;
  s.router.dim = kDim;
  s.router.experts = kExperts;
  s.router.route = {.softmax = softmax, .per_token = 2, .normalised = !softmax, .scale = 1.5};
  s.router.context = context;
  s.router.bias = !softmax;
  s.inner = kInner;
  s.shared_inner = shared;
  return s;
}

struct Fixture {
  Moe moe;
  std::map<std::string, Tensor> w;
  LayerContext context;
  Tensor x_TD = aten::randn({kTokens, kDim});

  explicit Fixture(const MoeShape& s) : moe("layers.0.mlp", s, {}) {
    std::vector<Parameter> parameters;
    moe.parameters(ParameterList(parameters));
    for (const Parameter& p : parameters) {
      p.tensor->normal_(0, 0.5);
      w[p.name] = *p.tensor;
    }
    context.sequences = ops::sequences_on(at::kCPU, {0, 9, int32_t(kTokens)});
  }
  Tensor mlp(const Tensor& x, const Tensor& gate, const Tensor& up, const Tensor& down) const {
    const Tensor g = x.matmul(gate.t());
    return (g * aten::sigmoid(g) * x.matmul(up.t())).matmul(down.t());
  }
};

// A token at a time, straight from the formula in the header.
Tensor by_hand(const Fixture& f, const MoeShape& s) {
  std::vector<Tensor> rows;
  for (int64_t t = 0; t < kTokens; ++t) {
    const int64_t start = t < 9 ? 0 : 9;
    const Tensor x = f.x_TD.narrow(0, t, 1), mean = f.x_TD.narrow(0, start, t - start + 1).mean(0, true);
    const Tensor logits = (s.router.context ? aten::cat({x, mean}, 1) : x).matmul(f.w.at("router").t());
    const Tensor score = s.router.route.softmax ? aten::softmax(logits, 1) : aten::sigmoid(logits);
    const Tensor biased = s.router.bias ? score + f.w.at("router_bias") : score;
    const Tensor chosen = std::get<1>(biased.topk(2))[0];
    Tensor gates = score[0].index_select(0, chosen);
    if (s.router.route.normalised) gates = gates / gates.sum();
    Tensor y = aten::zeros_like(x);
    for (int64_t k = 0; k < 2; ++k) {
      const int64_t e = chosen[k].item<int64_t>();
      y = y + gates[k] * 1.5 * f.mlp(x, f.w.at("experts.gate")[e], f.w.at("experts.up")[e], f.w.at("experts.down")[e]);
    }
    if (s.shared_inner) y = y + f.mlp(x, f.w.at("shared.gate"), f.w.at("shared.up"), f.w.at("shared.down"));
    rows.push_back(y);
  }
  return aten::cat(rows, 0);
}

TEST(Moe, IsItsFormula) {
  const at::NoGradGuard no_grad;
  for (const auto& [softmax, shared, context] :
       std::vector<std::tuple<bool, int64_t, bool>>{{false, 20, false}, {true, 0, false}, {false, 0, true}}) {
    const MoeShape s = shape(softmax, shared, context);
    const Fixture f(s);
    EXPECT_EQ(f.w.size(), 4u + (softmax ? 0 : 1) + (shared ? 3 : 0));
    EXPECT_EQ(f.moe.cache_bytes(16), context ? 16 * kDim * 4 : 0);
    EXPECT_LT((f.moe(f.x_TD, f.context, nullptr) - by_hand(f, s)).abs().max().item<double>(), 1e-4) << softmax << shared << context;
  }
}

TEST(Moe, RecordsLoadAndLossInTrainingOnly) {
  const MoeShape s = shape(false, 0, false);
  Fixture f(s);
  const at::NoGradGuard no_grad;
  const Tensor quiet = f.moe(f.x_TD, f.context, nullptr);
  ForwardRecord record;
  f.context.record = &record;
  f.context.aux_scale = 0.5;
  EXPECT_TRUE(aten::equal(f.moe(f.x_TD, f.context, nullptr), quiet)) << "watching changes nothing";
  ASSERT_EQ(record.sums.size(), 2u);
  const Tensor load = record.sums.at("layers.0.mlp.load"), loss = record.sums.at("layers.0.mlp.balance_loss");
  EXPECT_EQ(load.sizes(), at::IntArrayRef({kExperts}));
  EXPECT_EQ(load.sum().item<double>(), 2 * kTokens);
  EXPECT_GT(loss.item<double>(), 0.3);  // near 1, times aux_scale
  f.moe(f.x_TD, f.context, nullptr);
  EXPECT_EQ(record.sums.at("layers.0.mlp.load").sum().item<double>(), 4 * kTokens) << "micro-batches add up";
}

TEST(Moe, AContextRouterWantsItsCacheWhenPaged) {
  const Fixture f(shape(false, 0, true));
  const at::NoGradGuard no_grad;
  const LayerCache cache = aten::zeros_like(f.x_TD);
  EXPECT_THROW(f.moe(f.x_TD, f.context, &cache), Error);
}

}  // namespace
}  // namespace r1::nn
