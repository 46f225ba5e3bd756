// GELU, LayerNorm and sparse neurons: one result whatever the instruction set and the thread count; values against the definition in
// doubles.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "r1/kernels/cpu/gelu.h"
#include "r1/kernels/cpu/gemm_f32.h"
#include "r1/kernels/cpu/layer_norm.h"
#include "r1/kernels/cpu/sparse_mlp.h"
#include "tests/kernels/kernel_testing.h"

namespace r1::kernels {
namespace {

using Floats = std::vector<float>;

void expect_one_result(const std::function<Floats()>& run) {
  const Floats first = run();
  for_each_isa_and_threads([&](const std::string& where) {
    const Floats r = run();
    ASSERT_EQ(r.size(), first.size());
    for (size_t i = 0; i < r.size(); ++i) ASSERT_EQ(bits(r[i]), bits(first[i])) << where << " at " << i;
  });
}

double gelu(double x, GeluForm form) {
  if (form == GeluForm::kExact) return 0.5 * x * std::erfc(-x * M_SQRT1_2);
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

TEST(GeGlu, EqualsItsDefinitionOnEverySet) {
  const int64_t rows = 7, dim = 53;
  const Floats gate = random_floats(rows * dim, 1, 6), up = random_floats(rows * dim, 2), dy = random_floats(rows * dim, 3);
  for (const GeluForm form : {GeluForm::kExact, GeluForm::kTanh}) {
    const auto forward = [&] {
      Floats y(rows * dim);
      geglu({.gate = {gate.data()}, .up = {up.data()}, .y = {y.data()}, .rows = rows, .dim = dim, .form = form});
      return y;
    };
    const auto backward = [&] {
      Floats d(2 * rows * dim);
      geglu_backward({.gate = {gate.data()},
                      .up = {up.data()},
                      .dy = {dy.data()},
                      .dgate = {d.data()},
                      .dup = {d.data() + rows * dim},
                      .rows = rows,
                      .dim = dim,
                      .form = form});
      return d;
    };
    expect_one_result(forward);
    expect_one_result(backward);
    const Floats y = forward(), d = backward();
    for (size_t i = 0; i < y.size(); ++i) {
      const double g = gate[i], h = 1e-5, slope = (gelu(g + h, form) - gelu(g - h, form)) / (2 * h);
      EXPECT_NEAR(y[i], gelu(g, form) * up[i], 2e-6);
      EXPECT_NEAR(d[i], dy[i] * up[i] * slope, 3e-6);
      EXPECT_NEAR(d[size_t(rows * dim) + i], dy[i] * gelu(g, form), 3e-6);
    }
  }
}

TEST(LayerNorm, OneResultOnEverySet) {
  const int64_t rows = 300, dim = 71;
  const Floats x = random_floats(rows * dim, 1, 3), weight = random_floats(dim, 2), bias = random_floats(dim, 3),
               dy = random_floats(rows * dim, 4);
  for (const bool with_gelu : {false, true}) {
    expect_one_result([&] {
      Floats all(2 * rows * dim + 2 * dim + 2 * rows);
      float *y = all.data(), *dx = y + rows * dim, *dweight = dx + rows * dim, *dbias = dweight + dim, *mean = dbias + dim,
            *rstd = mean + rows;
      layer_norm({.x = {x.data()},
                  .weight = {weight.data()},
                  .bias = {bias.data()},
                  .y = {y},
                  .mean = mean,
                  .rstd = rstd,
                  .rows = rows,
                  .dim = dim,
                  .eps = 1e-5f,
                  .gelu = with_gelu});
      layer_norm_backward({.x = {x.data()},
                           .weight = {weight.data()},
                           .bias = {bias.data()},
                           .dy = {dy.data()},
                           .mean = mean,
                           .rstd = rstd,
                           .dx = {dx},
                           .dweight = dweight,
                           .dbias = dbias,
                           .rows = rows,
                           .dim = dim,
                           .gelu = with_gelu});
      return all;
    });
  }
}

TEST(SparseMlp, EqualsItsDefinitionOnEverySet) {
  const int64_t dim = 83, inner = 270, keep = 61;
  const Floats x = random_floats(dim, 1), w = random_floats(inner * dim, 2), up = random_floats(inner * dim, 3),
               down = random_floats(inner * dim, 4);
  Floats gate(inner);
  linear_forward({.x = x.data(), .w = w.data(), .y = gate.data(), .rows = 1, .in = dim, .out = inner});
  const auto run = [&] {
    Floats y(dim);
    sparse_mlp({.x = {x.data()},
                .gate = {gate.data()},
                .up = {up.data()},
                .down = {down.data()},
                .y = {y.data()},
                .rows = 1,
                .dim = dim,
                .inner = inner,
                .keep = keep});
    return y;
  };
  expect_one_result(run);
  std::vector<int> order(inner);
  std::iota(order.begin(), order.end(), 0);
  const auto active = [&](int i) { return double(gate[i]) / (1 + std::exp(-double(gate[i]))); };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return std::abs(active(a)) > std::abs(active(b)); });
  std::vector<double> want(dim);
  for (int64_t n = 0; n < keep; ++n) {
    const int j = order[size_t(n)];
    double product = 0;
    for (int64_t i = 0; i < dim; ++i) product += double(x[i]) * up[j * dim + i];
    for (int64_t i = 0; i < dim; ++i) want[i] += active(j) * product * down[j * dim + i];
  }
  const Floats y = run();
  for (int64_t i = 0; i < dim; ++i) EXPECT_NEAR(y[i], want[i], 2e-4 * (1 + std::abs(want[i])));
  expect_one_result([&] {
    Floats mask(inner);
    top_mask({.gate = {gate.data()}, .mask = {mask.data()}, .rows = 1, .dim = inner, .keep = keep});
    return mask;
  });
  EXPECT_ANY_THROW(top_mask({.gate = {gate.data()}, .mask = {gate.data()}, .rows = 1, .dim = inner, .keep = inner + 1}));
}

}  // namespace
}  // namespace r1::kernels
