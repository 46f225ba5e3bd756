// Distillation's loss against its definition, finite differences and TRL's own numbers (tests/oracles/trl_gkd.py).
#include "r1/ops/divergence.h"

#include <cmath>

#include "op_test.h"
#include "r1/base/file.h"
#include "r1/base/json.h"

namespace r1::ops {
namespace {

constexpr int64_t kTokens = 23, kVocab = 67;

TeacherStates teacher_of(at::ScalarType type) {
  return {randn({kTokens, 24}, 11).to(type), (randn({kVocab, 24}, 12) * 0.5).to(type)};
}
// The states' teacher where only its k likeliest are known.
TeacherTop known_of(int64_t k, double temperature, int64_t vocab = 0) {
  const TeacherStates t = teacher_of(at::kDouble);
  return linear_top(t.x_TE, t.head_VE, k, temperature, vocab);
}

struct Inputs {
  Tensor targets_T = random_ids(kTokens, kVocab, 5), weights_T = randn({kTokens}, 6).abs();
  Inputs() {
    targets_T[3].fill_(-1);
    weights_T[7].fill_(0);
  }
};

const std::vector<DivergenceOptions> kForms = {
    {.beta = 0},
    {.beta = 1},
    {.beta = 0.3, .temperature = 2},
    {.beta = 0, .temperature = 0.5, .divergence_weight = 0.7, .ce_weight = 0.3},
    {.beta = 1, .temperature = 3, .divergence_weight = 9, .ce_weight = 1, .vocab = 50},
    {.beta = 0.5, .vocab = 66},
    {.divergence_weight = 0, .ce_weight = 1},
};

TEST(Divergence, EqualsItsDefinition) {
  const Inputs in;
  for (const DivergenceOptions& o : kForms) {
    SCOPED_TRACE(str("beta ", o.beta, " temperature ", o.temperature, " ce ", o.ce_weight, " vocab ", o.vocab));
    const auto with = [&](auto loss, bool top) -> Op {
      return [&in, &o, loss, top](const Tensors& t) {
        const auto wide = t[0].scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
        return loss(t[0], t[1], in.targets_T, in.weights_T.to(wide), top, o);
      };
    };
    const auto fast = [](const Tensor& x, const Tensor& head, const Tensor& targets, const Tensor& weights, bool top,
                         const DivergenceOptions& options) {
      if (!top) return linear_divergence(x, head, targets, weights, teacher_of(x.scalar_type()), options).sum;
      return linear_divergence(x, head, targets, weights, known_of(9, options.temperature, options.vocab), options).sum;
    };
    const auto plain = [](const Tensor& x, const Tensor& head, const Tensor& targets, const Tensor& weights, bool top,
                          const DivergenceOptions& options) {
      if (!top) return linear_divergence_ref(x, head, targets, weights, teacher_of(x.scalar_type()), options).sum;
      return linear_divergence_ref(x, head, targets, weights, known_of(9, options.temperature, options.vocab), options).sum;
    };
    const Tensors inputs{randn({kTokens, 32}, 1), randn({kVocab, 32}, 2) * 0.4};
    for (const bool top : {false, true}) {
      expect_op_equals_ref(with(fast, top), with(plain, top), inputs, at::kCPU,
                           {{at::kDouble, 1e-12, 1e-11}, {at::kFloat, 2e-5, 5e-5}, {at::kBFloat16, 2e-2, 4e-2}});
    }
  }
}

TEST(Divergence, GradientOfTheDefinition) {
  const Tensor targets = aten::tensor({1, -1, 3}, at::kLong), weights = aten::tensor({1.0, 0.5, 2.0}, at::kDouble);
  const TeacherStates teacher{randn({3, 3}, 3), randn({6, 3}, 4)};
  for (const double beta : {0.0, 0.4, 1.0}) {
    const DivergenceOptions o{.beta = beta, .temperature = 1.3, .divergence_weight = 0.8, .ce_weight = 0.2};
    expect_ref_gradient([&](const Tensors& t) { return linear_divergence_ref(t[0], t[1], targets, weights, teacher, o).sum; },
                        {randn({3, 4}, 1), randn({6, 4}, 2)});
    const TeacherTop top = linear_top(teacher.x_TE, teacher.head_VE, 2, o.temperature);
    expect_ref_gradient([&](const Tensors& t) { return linear_divergence_ref(t[0], t[1], targets, weights, top, o).sum; },
                        {randn({3, 4}, 1), randn({6, 4}, 2)});
  }
}

TEST(Divergence, IsTrlsLoss) {
  const Json golden = parse_json_file(fs::path(R1_SOURCE_DIR) / "tests/golden/trl_gkd.json");
  ASSERT_EQ(golden.at("cases").size(), 30u);
  const int64_t vocab = golden.at("vocab");
  const auto labels = golden.at("labels").get<std::vector<int64_t>>();
  const int64_t tokens = int64_t(labels.size());
  Tensor weights = aten::ones({tokens}, at::kDouble);
  int64_t learned = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    learned += labels[size_t(t)] >= 0;
    if (labels[size_t(t)] < 0) weights[t].fill_(0);
  }
  const auto logits = [&](double phase, double scale) {
    std::vector<double> values;
    for (int64_t i = 0; i < tokens * vocab; ++i) values.push_back(scale * std::sin(1.7 * double(i) + phase));
    return aten::tensor(values, at::kDouble).view({tokens, vocab});
  };
  Tensor identity = aten::zeros({vocab, vocab}, at::kDouble);
  for (int64_t i = 0; i < vocab; ++i) identity[i][i].fill_(1);
  for (const Json& c : golden.at("cases")) {
    const double scale = c.at("scale");
    for (const auto type : {at::kDouble, at::kFloat}) {
      const Tensor x = logits(0.3, scale).to(type).requires_grad_(true);
      const TeacherStates teacher{logits(1.1, 1.5 * scale).to(type), identity.to(type)};
      const auto loss = linear_divergence(x, identity.to(type), aten::tensor(labels, at::kLong), weights.to(type), teacher,
                                          {.beta = c.at("beta"), .temperature = c.at("temperature")});
      const double mean = loss.sum.item<double>() / double(learned), want = c.at("loss");
      EXPECT_NEAR(mean, want, (type == at::kDouble ? 1e-12 : 1e-6) * std::max(1.0, want)) << c.at("beta") << " " << c.at("temperature");
      const Tensor grad = gradients({loss.sum / double(learned)}, {aten::ones({}, type)}, {x})[0];
      for (int64_t t = 0; t < tokens; ++t) {
        for (int64_t v = 0; v < vocab; ++v)
          EXPECT_NEAR(grad[t][v].item<double>(), c.at("gradient")[size_t(t)][size_t(v)].get<double>(), 1e-6) << t << " " << v;
      }
    }
  }
}

// What the K + 1 outcomes promise: nothing between equal models, never more than the whole, all of it in the limit.
TEST(Divergence, TheRestIsAnOutcomeOfItsOwn) {
  const Inputs in;
  const Tensor ones = aten::ones({kTokens}, at::kDouble), x = randn({kTokens, 32}, 1), head = randn({kVocab, 32}, 2) * 0.4;
  for (const double beta : {0.0, 0.5, 1.0}) {
    const DivergenceOptions o{.beta = beta, .temperature = 1.5};
    const Tensor whole = linear_divergence(x, head, in.targets_T, ones, teacher_of(at::kDouble), o).divergence_T;
    double before = -1;
    for (const int64_t k : {int64_t{1}, int64_t{4}, int64_t{20}, kVocab - 1}) {
      const TeacherTop top = known_of(k, o.temperature);
      EXPECT_LE((aten::logsumexp(top.logprob_TJ, {1})).abs().max().item<double>(), 1e-12);
      const Tensor part = linear_divergence(x, head, in.targets_T, ones, top, o).divergence_T;
      EXPECT_GE((whole - part).min().item<double>(), -1e-12) << k;
      EXPECT_GT(part.sum().item<double>(), before);
      before = part.sum().item<double>();
      if (k == kVocab - 1) {
        EXPECT_LE(distance(part, whole), 1e-12);
      }
    }
    const TeacherTop own = linear_top(x, head, 5, o.temperature);
    EXPECT_LE(linear_divergence(x, head, in.targets_T, ones, own, o).divergence_T.abs().max().item<double>(), 1e-12);
  }
}

// A teacher that is sure: probabilities that are 0 in fp32 are no NaN.
TEST(Divergence, ExtremeLogits) {
  Tensor x = aten::zeros({2, 3}, at::kFloat), teacher = aten::zeros({2, 3}, at::kFloat), identity = aten::zeros({3, 3}, at::kFloat);
  for (int64_t i = 0; i < 3; ++i) identity[i][i].fill_(1);
  teacher[0][0].fill_(500), teacher[1][2].fill_(-500), x[1][1].fill_(-500);
  x.requires_grad_(true);
  const Tensor targets = aten::tensor({0, 1}, at::kLong), weights = aten::ones({2}, at::kFloat);
  for (const double beta : {0.0, 0.5, 1.0}) {
    for (const bool top : {false, true}) {
      const auto loss = top ? linear_divergence(x, identity, targets, weights, linear_top(teacher, identity, 2, 1), {.beta = beta})
                            : linear_divergence(x, identity, targets, weights, TeacherStates{teacher, identity}, {.beta = beta});
      const Tensor grad = gradients({loss.sum}, {aten::ones({}, at::kFloat)}, {x})[0];
      EXPECT_TRUE(std::isfinite(loss.sum.item<double>())) << beta << top;
      EXPECT_TRUE(aten::isfinite(grad).all().item<bool>()) << beta << top;
    }
  }
}

// More rows than one chunk of 70,000 words.
TEST(Divergence, ChunksAddUp) {
  const int64_t vocab = 70000, tokens = 240;
  const Tensor x = randn({tokens, 8}, 1).to(at::kFloat), head = randn({vocab, 8}, 2).to(at::kFloat), targets = random_ids(tokens, vocab, 3),
               weights = aten::ones({tokens}, at::kFloat);
  const TeacherStates teacher{randn({tokens, 8}, 4).to(at::kFloat), randn({vocab, 8}, 5).to(at::kFloat)};
  const auto part = [&](int64_t begin, int64_t count) {
    return linear_divergence(x.narrow(0, begin, count), head, targets.narrow(0, begin, count), weights.narrow(0, begin, count),
                             TeacherStates{teacher.x_TE.narrow(0, begin, count), teacher.head_VE}, {.beta = 0.5})
        .divergence_T;
  };
  const Tensor all = part(0, tokens);
  EXPECT_LE(distance(part(228, 8), all.narrow(0, 228, 8)), 1e-6);
}

}  // namespace
}  // namespace r1::ops
