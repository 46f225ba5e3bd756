// Latent attention against its equations written out, its gradients against finite differences, and what it caches.
#include "r1/nn/mla.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "r1/base/error.h"
#include "r1/ops/attention.h"
#include "r1/ops/linear.h"
#include "r1/ops/norm.h"
#include "r1/tensor/aten.h"

namespace r1::nn {
namespace {

constexpr int64_t kTokens = 9;

struct Fixture {
  MlaShape shape;
  std::shared_ptr<const ops::RotaryTable> rotary;
  Mla layer;
  std::map<std::string, Tensor> w;
  LayerContext context;
  Tensor x_TD;

  static MlaShape shape_of(bool latent_queries, bool bias) {
    return {
        .dim = 20, .heads = 3, .q_lora = latent_queries ? 14 : 0, .kv_lora = 12, .nope = 6, .rope = 4, .v = 10, .bias = bias, .scale = 0.4};
  }
  Fixture(bool latent_queries, bool bias, bool interleaved, at::ScalarType type)
      : shape(shape_of(latent_queries, bias)),
        rotary(std::make_shared<ops::RotaryTable>(ops::rotary_table(ops::rotary_frequencies(4, 100, {}), 64, at::kCPU, interleaved))),
        layer(shape, rotary, Placement{at::kCPU, type}) {
    std::vector<Parameter> parameters;
    layer.parameters(ParameterList(parameters));
    for (const Parameter& p : parameters) {
      p.tensor->copy_(aten::randn(p.tensor->sizes()) * 0.5);
      w[p.name] = *p.tensor;
    }
    context.sequences = ops::sequences_on(at::kCPU, {0, 3, 9});
    x_TD = aten::randn({kTokens, shape.dim}, at::TensorOptions().dtype(type));
  }
};

// A head at a time, straight from the paper.
Tensor by_hand(const Fixture& f) {
  const MlaShape& s = f.shape;
  const auto lin = [&](const Tensor& x, const std::string& name) {
    return ops::linear_ref(x, f.w.at(name), f.w.count(name + "_bias") ? f.w.at(name + "_bias") : Tensor());
  };
  const auto turned = [&](const Tensor& x) {
    return ops::rotary_ref(x.unsqueeze(1), *f.rotary, f.context.sequences.positions_T).squeeze(1);
  };
  const Tensor q_TQ = s.q_lora ? lin(ops::rms_norm_ref(lin(f.x_TD, "q_a"), f.w.at("q_a_norm"), 1e-6), "q_b") : lin(f.x_TD, "q");
  const Tensor kv_TW = lin(f.x_TD, "kv_a");
  const Tensor c_TR = ops::rms_norm_ref(kv_TW.narrow(1, 0, s.kv_lora), f.w.at("kv_a_norm"), 1e-6);
  const Tensor r_TP = turned(kv_TW.narrow(1, s.kv_lora, s.rope));
  std::vector<Tensor> heads;
  for (int64_t n = 0; n < s.heads; ++n) {
    const Tensor q_TH = q_TQ.narrow(1, n * s.head(), s.head());
    const Tensor q = aten::cat({q_TH.narrow(1, 0, s.nope), turned(q_TH.narrow(1, s.nope, s.rope))}, 1);
    const Tensor w_ER = f.w.at("kv_b").narrow(0, n * (s.nope + s.v), s.nope + s.v);
    const Tensor k = aten::cat({c_TR.matmul(w_ER.narrow(0, 0, s.nope).t()), r_TP}, 1), v = c_TR.matmul(w_ER.narrow(0, s.nope, s.v).t());
    heads.push_back(ops::attention_ref(q.unsqueeze(1), k.unsqueeze(1), v.unsqueeze(1), f.context.sequences, s.scale).squeeze(1));
  }
  return lin(aten::cat(heads, 1), "o");
}

TEST(Mla, IsItsEquations) {
  for (const bool latent_queries : {true, false}) {
    for (const bool interleaved : {true, false}) {
      const Fixture f(latent_queries, /*bias=*/interleaved, interleaved, at::kFloat);
      EXPECT_EQ(f.w.count("q_a_bias"), latent_queries && interleaved ? 1u : 0u);
      EXPECT_EQ(f.w.count("q_b_bias") + f.w.count("q_bias") + f.w.count("kv_b_bias"), 0u);
      const Tensor want = by_hand(f), got = f.layer(f.x_TD, f.context, nullptr);
      EXPECT_LT((got - want).abs().max().item<double>(), 1e-5) << latent_queries << interleaved;
    }
  }
}

// Every weight and the input, in fp64, by central differences.
TEST(Mla, GradientsAreFiniteDifferences) {
  for (const bool latent_queries : {true, false}) {
    Fixture f(latent_queries, true, true, at::kDouble);
    const Tensor dy = aten::randn({kTokens, f.shape.dim}, at::kDouble);
    std::map<std::string, Tensor> inputs = f.w;
    inputs["x"] = f.x_TD;
    for (auto& [name, t] : inputs) t.requires_grad_(true);
    (f.layer(f.x_TD, f.context, nullptr) * dy).sum().backward();
    const at::NoGradGuard no_grad;
    for (auto& [name, t] : inputs) {
      ASSERT_TRUE(t.grad().defined()) << name;
      const int64_t step = std::max<int64_t>(1, t.numel() / 13);  // some entries of each
      for (int64_t i = 0; i < t.numel(); i += step) {
        double* value = t.mutable_data_ptr<double>() + i;
        const double kept = *value, by = 1e-6;
        *value = kept + by;
        const double above = (f.layer(f.x_TD, f.context, nullptr) * dy).sum().item<double>();
        *value = kept - by;
        const double below = (f.layer(f.x_TD, f.context, nullptr) * dy).sum().item<double>();
        *value = kept;
        const double numeric = (above - below) / (2 * by), found = t.grad().flatten()[i].item<double>();
        EXPECT_NEAR(found, numeric, 1e-6 * std::max(1.0, std::abs(numeric))) << name << " " << i;
      }
    }
  }
}

// The engine's cache of the published size: 512 + 64 values a token and layer, for any number of heads.
TEST(Mla, CachesLatentAndRotatedKeyAlone) {
  const MlaShape shape{.dim = 256, .heads = 8, .q_lora = 64, .kv_lora = 512, .nope = 128, .rope = 64, .v = 128, .scale = 0.1};
  const auto rotary = std::make_shared<ops::RotaryTable>(ops::rotary_table(ops::rotary_frequencies(64, 10000, {}), 8, at::kCPU, true));
  EXPECT_EQ(Mla(shape, rotary, Placement{at::kCPU, at::kFloat}).cache_bytes(16), 16 * 576 * 4);
  EXPECT_EQ(Mla(shape, rotary, Placement{at::kCPU, at::kBFloat16}).cache_bytes(32), 32 * 576 * 2);
}

}  // namespace
}  // namespace r1::nn
