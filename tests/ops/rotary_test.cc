// Interleaved rotary pairs and YaRN; the half-split form is in rows_test.cc.
#include "r1/ops/rotary.h"
#include "r1/tensor/aten.h"

#include <cmath>

#include "op_test.h"

namespace r1::ops {
namespace {

RotaryTable pairs_on(at::Device device) {
  return rotary_table(rotary_frequencies(20, 10000, {}), 64, device, /*interleaved=*/true, /*magnitude=*/1.5);
}
Tensor positions_on(at::Device device) {
  return aten::tensor(std::vector<int32_t>{0, 1, 63, 7, 7}, at::kInt).to(device);
}

void test_pairs(at::Device device) {
  const auto op = [](const Tensors& t) { return rotary(t[0], pairs_on(t[0].device()), positions_on(t[0].device())); };
  const auto ref = [](const Tensors& t) { return rotary_ref(t[0], pairs_on(t[0].device()), positions_on(t[0].device())); };
  expect_op_equals_ref(op, ref, {randn({5, 3, 20}, 1)}, device);
}
TEST(RotaryPairs, EqualTheirDefinition) {
  test_pairs(at::kCPU);
  expect_ref_gradient([](const Tensors& t) { return rotary_ref(t[0], pairs_on(at::kCPU), positions_on(at::kCPU)); },
                      {randn({5, 1, 20}, 1)});
}
TEST(RotaryPairs, EqualTheirDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_pairs(at::kCUDA);
}

// A table that grew is the table made at once, and what was read from it before stays as it was.
TEST(RotaryTable, GrowsWithoutChangingARow) {
  const RotaryTable whole = rotary_table(rotary_frequencies(20, 10000, {}), 300, at::kCPU, true, 1.5);
  RotaryTable grown = rotary_table(rotary_frequencies(20, 10000, {}), 0, at::kCPU, true, 1.5);
  EXPECT_EQ(grown.positions(), 0);
  for (const int64_t positions : {1, 7, 7, 3, 300}) {
    const Tensor before = grown.cos_PH;
    grown.reach(positions);
    EXPECT_EQ(grown.positions(), std::max<int64_t>(before.size(0), positions));
    EXPECT_TRUE(aten::equal(grown.cos_PH.narrow(0, 0, before.size(0)), before));
  }
  EXPECT_TRUE(aten::equal(grown.cos_PH, whole.cos_PH) && aten::equal(grown.sin_PH, whole.sin_PH));
}

// Heads out of a wider tensor, sizes that fill the vectors and that do not, more heads than a thread takes.
TEST(RotaryPairs, StridedHeadsCuda) {
  SKIP_WITHOUT_CUDA();
  for (const bool interleaved : {false, true}) {
    for (const int64_t H : {128, 64, 24, 6}) {
      const auto with = [&](auto* op) {
        return [=](const Tensors& t) {
          const RotaryTable table = rotary_table(rotary_frequencies(H, 10000, {}), 64, t[0].device(), interleaved);
          return op(t[0].narrow(1, 1, 9), table, positions_on(t[0].device()));
        };
      };
      expect_op_equals_ref(with(rotary), with(rotary_ref), {randn({5, 12, H}, 1)}, at::kCUDA);
    }
  }
}

// Values 2i and 2i + 1 turn as one complex number.
TEST(RotaryPairs, ByHand) {
  const Tensor x = randn({1, 1, 20}, 1).to(at::kFloat), y = rotary(x, pairs_on(at::kCPU), aten::tensor(std::vector<int32_t>{7}, at::kInt));
  for (int i = 0; i < 10; ++i) {
    const double angle = 7 * std::pow(10000, -2.0 * i / 20), a = x[0][0][2 * i].item<double>(), b = x[0][0][2 * i + 1].item<double>();
    EXPECT_NEAR(y[0][0][2 * i].item<double>(), 1.5 * (a * std::cos(angle) - b * std::sin(angle)), 1e-5);
    EXPECT_NEAR(y[0][0][2 * i + 1].item<double>(), 1.5 * (b * std::cos(angle) + a * std::sin(angle)), 1e-5);
  }
}

// Scores are the same in either layout, when q and k are laid out alike.
TEST(RotaryPairs, GiveTheScoresOfHalves) {
  const Tensor q = randn({5, 1, 20}, 1), k = randn({5, 1, 20}, 2);
  const auto halves = [](const Tensor& t) { return t.reshape({5, 1, 10, 2}).transpose(2, 3).reshape({5, 1, 20}); };
  const RotaryTable pairs = pairs_on(at::kCPU), split{pairs.cos_PH, pairs.sin_PH, false};
  const Tensor p = positions_on(at::kCPU);
  const Tensor a = (rotary(q, pairs, p) * rotary(k, pairs, p).roll(1, 0)).sum(-1),
               b = (rotary(halves(q), split, p) * rotary(halves(k), split, p).roll(1, 0)).sum(-1);
  EXPECT_LT(distance(a, b), 1e-12);
}

// DeepSeek-V3's: 64 dimensions, base 10000, factor 40, 4096 trained. Its ramp goes from pair 10 to pair 23.
TEST(Yarn, DeepSeekV3) {
  const RotaryScaling scaling{.kind = RotaryScaling::kYarn, .factor = 40, .original_max_positions = 4096};
  const auto plain = rotary_frequencies(64, 10000, {}), yarn = rotary_frequencies(64, 10000, scaling);
  for (int i = 0; i < 32; ++i) {
    const double kept = i <= 10 ? 1 : i >= 23 ? 0 : 1 - (i - 10) / 13.0;
    EXPECT_NEAR(yarn[i] / plain[i], kept + (1 - kept) / 40, 1e-6) << i;
  }
  EXPECT_NEAR(yarn_mscale(40, 1), 1.3688879454113936, 1e-12);
  EXPECT_NEAR(yarn_mscale(40, 0.707), 1.2608037774058553, 1e-12);
  EXPECT_EQ(yarn_mscale(1, 1), 1);
}

// Positions with three components, each turning its own pairs.
RotaryTable sections_on(at::Device device, bool interleaved) {
  RotaryTable table = rotary_table(rotary_frequencies(20, 10000, {}), 64, device, interleaved, 1.5);
  table.component_of_pair = components_by_section({3, 5, 2});
  return table;
}
Tensor components_on(at::Device device) {
  return aten::tensor(std::vector<int32_t>{0, 0, 0, 1, 5, 63, 7, 7, 8, 2, 0, 1}, at::kInt).view({4, 3}).to(device);
}

void test_components(at::Device device) {
  for (const bool interleaved : {false, true}) {
    const auto with = [&](auto& op) {
      return
          [&op, interleaved](const Tensors& t) { return op(t[0], sections_on(t[0].device(), interleaved), components_on(t[0].device())); };
    };
    expect_op_equals_ref(with(rotary), with(rotary_ref), {randn({4, 3, 20}, 1)}, device);
  }
}
TEST(RotaryComponents, EqualTheirDefinition) {
  test_components(at::kCPU);
  expect_ref_gradient([](const Tensors& t) { return rotary_ref(t[0], sections_on(at::kCPU, false), components_on(at::kCPU)); },
                      {randn({4, 1, 20}, 1)});
}
TEST(RotaryComponents, EqualTheirDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_components(at::kCUDA);
}

TEST(RotaryComponents, ByHand) {
  EXPECT_EQ(components_by_section({2, 1, 1}), (std::vector<int64_t>{0, 0, 1, 2}));
  const Tensor x = randn({4, 1, 20}, 1).to(at::kFloat), y = rotary(x, sections_on(at::kCPU, false), components_on(at::kCPU));
  const int position[4][3] = {{0, 0, 0}, {1, 5, 63}, {7, 7, 8}, {2, 0, 1}};
  for (int t = 0; t < 4; ++t) {
    for (int i = 0; i < 10; ++i) {
      const double angle = position[t][i < 3 ? 0 : i < 8 ? 1 : 2] * std::pow(10000, -2.0 * i / 20);
      const double a = x[t][0][i].item<double>(), b = x[t][0][i + 10].item<double>();
      EXPECT_NEAR(y[t][0][i].item<double>(), 1.5 * (a * std::cos(angle) - b * std::sin(angle)), 1e-5);
      EXPECT_NEAR(y[t][0][i + 10].item<double>(), 1.5 * (b * std::cos(angle) + a * std::sin(angle)), 1e-5);
    }
  }
}

// Text: all components are the position, and the bits are those of one.
TEST(RotaryComponents, OfOneNumberAreOnePosition) {
  const Tensor x = randn({5, 3, 20}, 1).to(at::kFloat), positions = positions_on(at::kCPU);
  const RotaryTable table = sections_on(at::kCPU, true);
  EXPECT_TRUE(aten::equal(rotary(x, table, positions.unsqueeze(1).expand({5, 3}).contiguous()), rotary(x, pairs_on(at::kCPU), positions)));
  EXPECT_TRUE(aten::equal(rotary(x, table, positions), rotary(x, pairs_on(at::kCPU), positions)));
}

TEST(RotaryComponents, MustFitTheTable) {
  const Tensor x = randn({4, 1, 20}, 1).to(at::kFloat);
  RotaryTable table = sections_on(at::kCPU, false);
  EXPECT_THROW(rotary(x, table, components_on(at::kCPU).narrow(1, 0, 2).contiguous()), Error);  // two components, the table names a third
  EXPECT_THROW(rotary(x, table, components_on(at::kCPU) + 1), Error);                           // a position that the table has not
  EXPECT_THROW(rotary(x, pairs_on(at::kCPU), components_on(at::kCPU)), Error);                  // a table of one component
}

}  // namespace
}  // namespace r1::ops
