// The parts: grids, GPTQ, AWQ, statistics of inputs.
#include <gtest/gtest.h>

#include <cmath>

#include "bell.h"
#include "r1/quant/awq.h"
#include "r1/quant/gptq.h"
#include "r1/quant/input_statistics.h"
#include "r1/quant/inverse_factor.h"
#include "r1/quant/smoothing.h"
#include "r1/tensor/aten.h"
#include "tests/message_of.h"

namespace r1::quant {
namespace {

// Inputs whose channels depend on each other and have sizes of two orders of magnitude.
struct Case {
  Tensor weight_OI, x_TI;
  InputStatistics inputs;
  Case(int64_t rows, int64_t columns, int64_t tokens) {
    weight_OI = bell({rows, columns}, 1);
    const Tensor mix_II = bell({columns, columns}, 2) * (2 / std::sqrt(double(columns)));
    x_TI = aten::matmul(bell({tokens, columns}, 3), mix_II) * (bell({columns}, 4).abs() * 4).exp();
    inputs.add(x_TI, true, true);
  }
  double error(const tensor::IntegerMatrix& m) const { return relative_error(weight_OI, tensor::dense(m), inputs.gram_II); }
};

TEST(Grid, KeepsItsPromises) {
  const GridOptions plain{.bits = 4, .symmetric = true, .search = false};
  const float values[] = {-7.5f, 1, 2, 3};
  const Grid g = fit_grid(values, 4, nullptr, plain);
  EXPECT_EQ(g.zero, 8);
  EXPECT_EQ(g.scale, 1);
  EXPECT_EQ(code_of(-7.5f, g, 15), 0);
  EXPECT_EQ(code_of(100, g, 15), 15);
  const Grid all_zero = fit_grid(std::vector<float>(4).data(), 4, nullptr, plain);
  EXPECT_EQ(code_of(0, all_zero, 15), all_zero.zero);
  // 0 is a point of an asymmetric grid: what is zero stays zero.
  const float positive[] = {1, 2, 3, 16};
  const Grid a = fit_grid(positive, 4, nullptr, {.bits = 4, .symmetric = false, .search = false});
  EXPECT_EQ(a.zero, 0);
  EXPECT_NEAR(a.scale, 16.f / 15, 1e-3);
  // In a file that has no form for a zero point of 0 the codes from 1 on are for what is positive.
  const GridOptions from_one{.bits = 4, .symmetric = false, .search = false, .least_zero = 1};
  const Grid b = fit_grid(positive, 4, nullptr, from_one), none = fit_grid(std::vector<float>(4).data(), 4, nullptr, from_one);
  EXPECT_EQ(b.zero, 1);
  EXPECT_NEAR(b.scale, 16.f / 14, 1e-3);
  EXPECT_EQ(code_of(0, none, 15), none.zero);
  EXPECT_EQ(none.zero, 1);
  // A weight too small for a scale in half precision is no division by zero.
  const float tiny[] = {1e-9f, -1e-9f};
  EXPECT_GT(fit_grid(tiny, 2, nullptr, plain).scale, 0);
}

TEST(Grid, TheSearchLowersTheError) {
  const Case c(16, 128, 64);
  const Tensor cost_I = c.inputs.mean_square_I();
  const auto cost = [&](const GridOptions& o, const Tensor& importance) {
    const Tensor off = tensor::dense(round_to_nearest(c.weight_OI, 64, o, importance)) - c.weight_OI;
    return (off.square() * cost_I).sum().item<double>();
  };
  for (const bool symmetric : {true, false}) {
    const GridOptions plain{.symmetric = symmetric, .search = false}, searched{.symmetric = symmetric};
    EXPECT_LT(cost(searched, cost_I), 0.97 * cost(plain, {}));
    EXPECT_LT(cost(searched, cost_I), cost(searched, {}));
  }
}

TEST(Gptq, BeatsRoundingWhateverTheOrder) {
  const Case c(48, 256, 400);
  for (const int bits : {4, 8}) {
    const GridOptions grid{.bits = bits};
    const double rounded = c.error(round_to_nearest(c.weight_OI, 64, grid));
    for (const ColumnOrder order : {ColumnOrder::kFile, ColumnOrder::kGroups, ColumnOrder::kActivation}) {
      const GptqResult result = gptq(c.weight_OI, c.inputs.gram_II, {.grid = grid, .group = 64, .order = order});
      tensor::check_integers(result.matrix, "w");
      EXPECT_EQ(result.matrix.group_of_I.defined(), order == ColumnOrder::kActivation);
      EXPECT_LT(c.error(result.matrix), 0.5 * rounded) << bits << " bits, order " << int(order);
      EXPECT_EQ(result.damping, 0.01);
    }
  }
}

// The definition, column by column in double precision, for a case small enough to see through.
TEST(Gptq, EqualsItsDefinition) {
  const Case c(3, 16, 40);
  const GridOptions grid{.bits = 4, .search = false};
  const tensor::IntegerMatrix got = gptq(c.weight_OI, c.inputs.gram_II, {.grid = grid, .group = 16, .order = ColumnOrder::kFile}).matrix;
  const Tensor h = c.inputs.gram_II.to(at::kDouble).clone();
  h.diagonal().add_(0.01 * h.diagonal().mean().item<double>());
  // The upper factor of the inverse, by its definition: u^T u = h^-1.
  const Tensor inverse = h.inverse().contiguous(), u = aten::zeros({16, 16}, at::kDouble);
  for (int64_t i = 0; i < 16; ++i) {
    for (int64_t j = i; j < 16; ++j) {
      double sum = inverse[i][j].item<double>();
      for (int64_t k = 0; k < i; ++k) sum -= u[k][i].item<double>() * u[k][j].item<double>();
      u[i][j].fill_(i == j ? std::sqrt(sum) : sum / u[i][i].item<double>());
    }
  }
  const Tensor w = c.weight_OI.to(at::kDouble).clone();
  for (int64_t r = 0; r < 3; ++r) {
    std::vector<float> row(c.weight_OI.const_data_ptr<float>() + r * 16, c.weight_OI.const_data_ptr<float>() + (r + 1) * 16);
    const Grid g = fit_grid(row.data(), 16, nullptr, grid);
    for (int64_t i = 0; i < 16; ++i) {
      const double value = w[r][i].item<double>();
      const int code = code_of(float(value), g, 15);
      EXPECT_EQ(int(got.codes_OI[r][i].item<uint8_t>()), code) << r << " " << i;
      const double error = (value - double(g.scale) * (code - g.zero)) / u[i][i].item<double>();
      for (int64_t j = i; j < 16; ++j) w[r][j].sub_(error * u[i][j].item<double>());
    }
  }
}

// Also without any at first, where there is no inverse: it ends, and says what it took.
TEST(InverseFactor, DampingBeginsSomewhere) {
  const Tensor x = bell({3, 8}, 5), h = aten::matmul(x.t(), x).to(at::kDouble);
  double damping = 0;
  const Tensor u = inverse_factor(h, damping);
  EXPECT_GT(damping, 0);
  EXPECT_LE(damping, 1e-4);
  Tensor damped = h.clone();
  damped.diagonal().add_(damping * h.diagonal().mean().item<double>());
  Tensor off = aten::matmul(aten::matmul(u.t(), u), damped);
  off.diagonal().sub_(1);
  EXPECT_LT(off.abs().max().item<double>(), 1e-6);
  EXPECT_EQ(u.tril(-1).abs().max().item<double>(), 0);
  damping = 0;
  EXPECT_NE(message_of([&] { inverse_factor(h * NAN, damping); }).find("not finite"), std::string::npos);
}

// Fewer tokens than channels, channels that are always 0: damping makes up for it, and the dead weights are 0.
TEST(Gptq, LivesWithPoorText) {
  Case c(8, 64, 3);
  const GptqResult result = gptq(c.weight_OI, c.inputs.gram_II, {.group = 32});
  EXPECT_TRUE(tensor::dense(result.matrix).isfinite().all().item<bool>());
  Case dead(8, 64, 200);
  dead.inputs = {};
  dead.x_TI.narrow(1, 10, 1).zero_();
  dead.inputs.add(dead.x_TI, true, false);
  const Tensor values = tensor::dense(gptq(dead.weight_OI, dead.inputs.gram_II, {.group = 32}).matrix);
  EXPECT_EQ(values.select(1, 10).abs().max().item<double>(), 0);
  Tensor broken = c.inputs.gram_II.clone();
  broken[0][0] = NAN;
  EXPECT_NE(message_of([&] { gptq(c.weight_OI, broken, {.group = 32}); }).find("not finite"), std::string::npos);
}

TEST(Gptq, GroupsLargerThanABlock) {
  const Case c(16, 512, 600);
  const GptqResult result = gptq(c.weight_OI, c.inputs.gram_II, {.group = 512});
  EXPECT_EQ(result.matrix.groups(), 1);
  EXPECT_LT(c.error(result.matrix), 0.6 * c.error(round_to_nearest(c.weight_OI, 512, {})));
}

TEST(Gptq, HalfTheProductsGiveTheWholeError) {
  for (const int64_t columns : {40, 256, 600}) {
    const Case c(16, columns, 300);
    const double direct = aten::matmul(c.x_TI.to(at::kDouble), c.weight_OI.to(at::kDouble).t()).square().sum().item<double>();
    EXPECT_NEAR(outputs_squared(c.weight_OI, halved_gram(c.inputs.gram_II)) / direct, 1, 1e-5);
  }
}

TEST(Awq, ClipsEachGroupByItsOwnInputs) {  // the search by its definition, a row and group at a time
  const Case c(24, 96, 300);
  const int64_t group = 32;
  const GridOptions grid{.symmetric = false, .search = false};
  Tensor clipped = c.weight_OI.clone();
  for (int64_t r = 0; r < 24; ++r) {
    for (int64_t g = 0; g < 96; g += group) {
      const Tensor w = c.weight_OI.narrow(0, r, 1).narrow(1, g, group), own = c.inputs.gram_II.narrow(0, g, group).narrow(1, g, group);
      double least = INFINITY;
      for (int step = 0; step <= 10; ++step) {
        const double share = 1 - step / 20.0;
        const Tensor tried = w.clamp(std::min(0.0, w.min().item<double>()) * share, std::max(0.0, w.max().item<double>()) * share);
        const Tensor off = tensor::dense(round_to_nearest(tried, group, grid)) - w;
        const double error = (aten::matmul(off, own) * off).sum(at::kDouble).item<double>();
        if (error < least * (1 - 1e-5)) least = error, clipped.narrow(0, r, 1).narrow(1, g, group).copy_(tried);
      }
    }
  }
  const double expected = c.error(round_to_nearest(clipped, group, grid));
  EXPECT_NEAR(c.error(awq_clip_and_round(c.weight_OI, c.inputs.gram_II, group, grid)) / expected, 1, 1e-3);
}

TEST(Awq, ScalesAndClipsLowerTheError) {
  const Case c(64, 128, 300);
  const GridOptions grid{.symmetric = false};
  const AwqScales s = awq_scales({c.weight_OI}, c.inputs.mean_abs_I(), c.inputs.gram_II, 64, grid);
  EXPECT_GT(s.exponent, 0);
  EXPECT_LT(s.error, 0.8 * s.unscaled);
  const double plain = c.error(round_to_nearest(c.weight_OI, 64, {.symmetric = false, .search = false}));
  EXPECT_NEAR(s.unscaled, plain, 1e-6 + 1e-3 * plain);
  EXPECT_LT(c.error(awq_clip_and_round(c.weight_OI, c.inputs.gram_II, 64, grid)), plain);
}

TEST(Smoothing, EqualsItsDefinition) {
  const Tensor x_TI = bell({50, 8}, 1) * aten::tensor({1, 2, 4, 8, 100, 0, 1, 1}), a_OI = bell({6, 8}, 2), b_OI = bell({4, 8}, 3);
  a_OI.select(1, 6).zero_(), b_OI.select(1, 6).zero_();  // nobody reads it
  const Tensor largest_I = aten::abs(x_TI).amax({0});
  for (const double strength : {0.0, 0.5, 1.0}) {
    const Tensor scale_I = smoothing_scales({a_OI, b_OI}, largest_I, strength);
    for (int64_t i = 0; i < 8; ++i) {
      const double x = largest_I[i].item<double>();
      const double w = std::max(aten::abs(a_OI.select(1, i)).max().item<double>(), aten::abs(b_OI.select(1, i)).max().item<double>());
      EXPECT_NEAR(scale_I[i].item<double>(), x == 0 || w == 0 ? 1 : std::pow(x, strength) / std::pow(w, 1 - strength), 1e-4 * x + 1e-5)
          << i;
    }
    if (strength != 0.5) continue;  // at a half, channels and columns are of one size
    EXPECT_NEAR((largest_I / scale_I)[4].item<double>(),
                (aten::maximum(aten::abs(a_OI).amax({0}), aten::abs(b_OI).amax({0})) * scale_I)[4].item<double>(), 1e-4);
  }
}

TEST(Histogram, PercentilesAndRanges) {
  MagnitudeHistogram h;
  h.add(aten::arange(0, 1000, at::kFloat) / 10);  // 0 .. 99.9, then more at once
  EXPECT_NEAR(h.percentile(0.5), 50, 0.5);
  EXPECT_EQ(h.percentile(1), h.largest());
  h.add(aten::full({1}, -4000, at::kFloat));
  EXPECT_EQ(h.largest(), 4000);
  EXPECT_NEAR(h.percentile(0.999), 100, 3);
  // One outlier among many: with few steps the range of the least error leaves it out.
  MagnitudeHistogram some;
  some.add(bell({20000}, 5) * 1.7);
  some.add(aten::full({1}, 40, at::kFloat));
  EXPECT_LT(some.least_error_range(7), 12);
  EXPECT_GT(some.least_error_range(7), 2);
  EXPECT_GT(some.least_error_range(127), 30);  // eight bits have room for it
  // One that is far larger than all: what is cut off it costs more than rounding the rest to zero.
  MagnitudeHistogram massive;
  massive.add(bell({20000}, 5).abs() * 0.2);
  massive.add(aten::full({1}, 1000, at::kFloat));
  EXPECT_GT(massive.least_error_range(127), 990);
  EXPECT_NE(message_of([&] { some.add(aten::full({1}, NAN, at::kFloat)); }).find("not finite"), std::string::npos);
}

}  // namespace
}  // namespace r1::quant
