// The kernels on rows: each against its definition in doubles, backward passes against finite differences of that definition, and one
// result whatever the instruction set, the thread count, the storage and the neighbours.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "r1/base/rng.h"
#include "r1/kernels/cpu/bf16.h"
#include "r1/kernels/cpu/dropout.h"
#include "r1/kernels/cpu/embedding.h"
#include "r1/kernels/cpu/norm.h"
#include "r1/kernels/cpu/optimizer.h"
#include "r1/kernels/cpu/rope.h"
#include "r1/kernels/cpu/softmax.h"
#include "r1/kernels/cpu/swiglu.h"
#include "tests/kernels/kernel_testing.h"

namespace r1::kernels {
namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

Doubles doubles(const Floats& v) {
  return {v.begin(), v.end()};
}

// run() gives the same bits everywhere.
void expect_one_result(const std::function<Floats()>& run) {
  const Floats first = run();
  for_each_isa_and_threads([&](const std::string& where) {
    const Floats r = run();
    ASSERT_EQ(r.size(), first.size());
    for (size_t i = 0; i < r.size(); ++i) ASSERT_EQ(bits(r[i]), bits(first[i])) << where << " at " << i;
  });
}

// d f / d x[i] by central differences.
double slope(Doubles& x, size_t i, const std::function<double()>& f) {
  const double keep = x[i], h = 1e-5;
  x[i] = keep + h;
  const double up = f();
  x[i] = keep - h;
  const double down = f();
  x[i] = keep;
  return (up - down) / (2 * h);
}

Floats concat(std::initializer_list<Floats> parts) {
  Floats all;
  for (const Floats& p : parts) all.insert(all.end(), p.begin(), p.end());
  return all;
}

std::vector<uint16_t> narrowed(Floats& x) {
  std::vector<uint16_t> h(x.size());
  for (size_t i = 0; i < x.size(); ++i) h[i] = to_bf16(x[i]), x[i] = from_bf16(h[i]);
  return h;
}

// ---- bf16

TEST(Bf16, RoundsToNearestEvenAndBack) {
  EXPECT_EQ(to_bf16(1.0f), 0x3F80);
  EXPECT_EQ(to_bf16(__builtin_bit_cast(float, 0x3F808000u)), 0x3F80);  // a tie goes to even
  EXPECT_EQ(to_bf16(__builtin_bit_cast(float, 0x3F818000u)), 0x3F82);
  EXPECT_EQ(to_bf16(__builtin_bit_cast(float, 0x3F808001u)), 0x3F81);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::infinity()), 0x7F80);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(__builtin_bit_cast(float, 0x7F800001u)))));
  std::vector<uint16_t> all(65536), back(65536);
  Floats wide(65536);
  for (int i = 0; i < 65536; ++i) all[i] = uint16_t(i);
  bf16_to_f32(all.data(), wide.data(), 65536);
  f32_to_bf16(wide.data(), back.data(), 65536);
  for (int i = 0; i < 65536; ++i) ASSERT_EQ(back[i], std::isnan(wide[i]) ? i | 0x40 : i);
}

// ---- rms_norm

struct NormCase {
  int64_t rows, dim;
  Floats x, residual, weight, dy, dsum;
  explicit NormCase(int64_t r, int64_t d)
      : rows(r),
        dim(d),
        x(random_floats(r * d, 1, 3)),
        residual(random_floats(r * d, 2)),
        weight(random_floats(d, 3)),
        dy(random_floats(r * d, 4)),
        dsum(random_floats(r * d, 5)) {}
};

TEST(RmsNorm, AgainstDoubles) {
  for (int64_t dim : {1, 15, 64, 200, 576}) {
    const NormCase c(5, dim);
    Floats y(c.x.size()), sum(c.x.size()), rstd(c.rows);
    rms_norm({.x = {c.x.data()},
              .residual = {c.residual.data()},
              .weight = {c.weight.data()},
              .y = {y.data()},
              .sum = {sum.data()},
              .rstd = rstd.data(),
              .rows = c.rows,
              .dim = dim,
              .eps = 1e-5f});
    for (int64_t r = 0; r < c.rows; ++r) {
      double squares = 0;
      for (int64_t i = r * dim; i < (r + 1) * dim; ++i) squares += std::pow(double(c.x[i]) + c.residual[i], 2);
      const double want = 1 / std::sqrt(squares / double(dim) + 1e-5);
      EXPECT_NEAR(rstd[r] / want, 1, 5e-7);
      for (int64_t i = 0; i < dim; ++i) {
        EXPECT_EQ(sum[r * dim + i], c.x[r * dim + i] + c.residual[r * dim + i]);
        ASSERT_NEAR(y[r * dim + i], sum[r * dim + i] * want * c.weight[i], 2e-6);
      }
    }
  }
}

TEST(RmsNorm, BackwardAgainstFiniteDifferences) {
  const NormCase c(3, 37);
  Floats y(c.x.size()), rstd(c.rows), dx(c.x.size()), dw(c.dim, 0.5f);
  rms_norm(
      {.x = {c.x.data()}, .weight = {c.weight.data()}, .y = {y.data()}, .rstd = rstd.data(), .rows = c.rows, .dim = c.dim, .eps = 1e-5f});
  rms_norm_backward({.x = {c.x.data()},
                     .weight = {c.weight.data()},
                     .dy = {c.dy.data()},
                     .rstd = rstd.data(),
                     .dsum = {c.dsum.data()},
                     .dx = {dx.data()},
                     .dweight = dw.data(),
                     .accumulate = true,
                     .rows = c.rows,
                     .dim = c.dim});
  Doubles x = doubles(c.x), w = doubles(c.weight);
  auto loss = [&] {
    double l = 0;
    for (int64_t r = 0; r < c.rows; ++r) {
      double squares = 0;
      for (int64_t i = r * c.dim; i < (r + 1) * c.dim; ++i) squares += x[i] * x[i];
      const double rs = 1 / std::sqrt(squares / double(c.dim) + 1e-5);
      for (int64_t i = 0; i < c.dim; ++i)
        l += (x[r * c.dim + i] * rs * w[i]) * c.dy[r * c.dim + i] + x[r * c.dim + i] * c.dsum[r * c.dim + i];
    }
    return l;
  };
  for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(dx[i], slope(x, i, loss), 2e-6);
  for (size_t i = 0; i < w.size(); ++i) ASSERT_NEAR(dw[i], 0.5 + slope(w, i, loss), 2e-6);
}

TEST(RmsNorm, OneResult) {
  const NormCase c(300, 100);
  expect_one_result([&] {
    Floats y(c.x.size()), sum(c.x.size()), rstd(c.rows), dx(c.x.size()), dw(c.dim);
    rms_norm({.x = {c.x.data()},
              .residual = {c.residual.data()},
              .weight = {c.weight.data()},
              .y = {y.data()},
              .sum = {sum.data()},
              .rstd = rstd.data(),
              .rows = c.rows,
              .dim = c.dim,
              .eps = 1e-6f});
    rms_norm_backward({.x = {sum.data()},
                       .weight = {c.weight.data()},
                       .dy = {c.dy.data()},
                       .rstd = rstd.data(),
                       .dx = {dx.data()},
                       .dweight = dw.data(),
                       .rows = c.rows,
                       .dim = c.dim});
    return concat({y, sum, rstd, dx, dw});
  });
}

TEST(RmsNorm, Bf16RoundsOnceAndInPlaceWorks) {
  NormCase c(4, 50);
  const auto x = narrowed(c.x), residual = narrowed(c.residual), weight = narrowed(c.weight);
  Floats sums(c.x.size());
  for (size_t i = 0; i < sums.size(); ++i) sums[i] = from_bf16(to_bf16(c.x[i] + c.residual[i]));
  Floats wide(c.x.size());
  rms_norm({.x = {sums.data()}, .weight = {c.weight.data()}, .y = {wide.data()}, .rows = 4, .dim = 50, .eps = 1e-6f});
  std::vector<uint16_t> y = x, sum = residual;  // y over x, sum over residual
  rms_norm({.x = {y.data(), Float::kBf16},
            .residual = {sum.data(), Float::kBf16},
            .weight = {weight.data(), Float::kBf16},
            .y = {y.data(), Float::kBf16},
            .sum = {sum.data(), Float::kBf16},
            .rows = 4,
            .dim = 50,
            .eps = 1e-6f});
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_EQ(y[i], to_bf16(wide[i]));
    ASSERT_EQ(sum[i], to_bf16(sums[i]));
  }
}

// ---- rope

TEST(Rope, TurnsPairsAndBack) {
  const int64_t tokens = 9, heads = 3, head = 44, rotary = 38, positions = 50;
  Floats cos(positions * rotary / 2), sin(cos.size());
  for (int64_t p = 0; p < positions; ++p)
    for (int64_t i = 0; i < rotary / 2; ++i) {
      const double angle = double(p) * std::pow(10000.0, -2.0 * double(i) / double(rotary));
      cos[p * rotary / 2 + i] = float(std::cos(angle)), sin[p * rotary / 2 + i] = float(std::sin(angle));
    }
  std::vector<int32_t> at;
  for (int64_t t = 0; t < tokens; ++t) at.push_back(int32_t(t * 5));
  const Floats x = random_floats(tokens * heads * head, 1);
  for (RopeLayout layout : {RopeLayout::kHalves, RopeLayout::kPairs}) {
    Floats y = x;
    Rope a{.x = {y.data()},
           .tokens = tokens,
           .heads = heads,
           .head_dim = head,
           .rotary_dim = rotary,
           .positions = at.data(),
           .cos = cos.data(),
           .sin = sin.data(),
           .max_position = positions,
           .layout = layout};
    rope(a);
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t h = 0; h < heads; ++h) {
        const float *from = &x[(t * heads + h) * head], *to = &y[(t * heads + h) * head];
        for (int64_t i = 0; i < rotary / 2; ++i) {
          const int64_t p = layout == RopeLayout::kHalves ? i : 2 * i, q = layout == RopeLayout::kHalves ? i + rotary / 2 : 2 * i + 1;
          const double c = cos[at[t] * rotary / 2 + i], s = sin[at[t] * rotary / 2 + i];
          ASSERT_NEAR(to[p], from[p] * c - from[q] * s, 2e-7);
          ASSERT_NEAR(to[q], from[q] * c + from[p] * s, 2e-7);
        }
        for (int64_t i = rotary; i < head; ++i) ASSERT_EQ(to[i], from[i]);
      }
    a.inverse = true;
    rope(a);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(y[i], x[i], 5e-7);
    expect_one_result([&] {
      Floats z = x;
      Rope b = a;
      b.x = {z.data()};
      rope(b);
      return z;
    });
  }
  Floats y = x;
  at[3] = 50;
  EXPECT_THROW(rope({.x = {y.data()},
                     .tokens = tokens,
                     .heads = heads,
                     .head_dim = head,
                     .rotary_dim = rotary,
                     .positions = at.data(),
                     .cos = cos.data(),
                     .sin = sin.data(),
                     .max_position = positions}),
               Error);
}

// ---- swiglu

TEST(SwiGlu, AgainstDoublesAndFiniteDifferences) {
  const int64_t rows = 3, dim = 21;
  Floats both = random_floats(rows * 2 * dim, 1, 6);
  both[0] = 90, both[1] = -90, both[2] = 1e-20f;
  const Floats dy = random_floats(rows * dim, 2);
  const ConstRows gate{both.data(), Float::kF32, 2 * dim}, up{both.data() + dim, Float::kF32, 2 * dim};
  Floats y(rows * dim), d(rows * 2 * dim);
  swiglu({.gate = gate, .up = up, .y = {y.data()}, .rows = rows, .dim = dim});
  swiglu_backward({.gate = gate,
                   .up = up,
                   .dy = {dy.data()},
                   .dgate = {d.data(), Float::kF32, 2 * dim},
                   .dup = {d.data() + dim, Float::kF32, 2 * dim},
                   .rows = rows,
                   .dim = dim});
  Doubles x = doubles(both);
  auto value = [&](int64_t r, int64_t i) { return x[r * 2 * dim + i] / (1 + std::exp(-x[r * 2 * dim + i])) * x[r * 2 * dim + dim + i]; };
  auto loss = [&] {
    double l = 0;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < dim; ++i) l += value(r, i) * dy[r * dim + i];
    return l;
  };
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < dim; ++i) ASSERT_NEAR(y[r * dim + i], value(r, i), 1e-6 * std::max(1.0, std::abs(value(r, i))));
  for (size_t i = 0; i < d.size(); ++i) {
    const double want = slope(x, i, loss);
    ASSERT_NEAR(d[i], want, 1e-6 * std::max(10.0, std::abs(want))) << i;
  }
  expect_one_result([&] {
    Floats z(rows * dim);
    swiglu({.gate = gate, .up = up, .y = {z.data()}, .rows = rows, .dim = dim});
    Floats g = both;  // the gradients over gate and up themselves
    swiglu_backward({.gate = {g.data(), Float::kF32, 2 * dim},
                     .up = {g.data() + dim, Float::kF32, 2 * dim},
                     .dy = {dy.data()},
                     .dgate = {g.data(), Float::kF32, 2 * dim},
                     .dup = {g.data() + dim, Float::kF32, 2 * dim},
                     .rows = rows,
                     .dim = dim});
    EXPECT_EQ(g, d);
    return concat({z, g});
  });
}

// ---- log_prob

TEST(LogProb, AgainstDoubles) {
  for (int64_t vocab : {1, 7, 300, 9000}) {
    const int64_t rows = 3;
    Floats z = random_floats(rows * vocab, 1, 20);
    const std::vector<int64_t> targets = {vocab - 1, -1, vocab / 2};
    const Floats dlogprob = {0.7f, 2.0f, -1.5f};
    for (float inv_t : {1.0f, 1.25f}) {
      Floats lp(rows), lse(rows), h(rows), g = z;
      log_prob({.logits = z.data(),
                .rows = rows,
                .vocab = vocab,
                .targets = targets.data(),
                .inv_temperature = inv_t,
                .logprob = lp.data(),
                .lse = lse.data(),
                .entropy = h.data()});
      log_prob_backward({.logits = g.data(),
                         .rows = rows,
                         .vocab = vocab,
                         .targets = targets.data(),
                         .lse = lse.data(),
                         .dlogprob = dlogprob.data(),
                         .inv_temperature = inv_t});
      for (int64_t r = 0; r < rows; ++r) {
        double sum = 0, expected_z = 0;
        for (int64_t i = 0; i < vocab; ++i) sum += std::exp(double(z[r * vocab + i]) * inv_t);
        for (int64_t i = 0; i < vocab; ++i) expected_z += std::exp(double(z[r * vocab + i]) * inv_t) / sum * z[r * vocab + i] * inv_t;
        ASSERT_NEAR(lse[r], std::log(sum), 3e-6 * std::abs(std::log(sum)) + 1e-6);
        ASSERT_NEAR(h[r], std::log(sum) - expected_z, 5e-6);
        ASSERT_NEAR(lp[r], targets[r] < 0 ? 0 : z[r * vocab + targets[r]] * inv_t - std::log(sum), 5e-6);
        for (int64_t i = 0; i < vocab; ++i) {
          const double p = std::exp(double(z[r * vocab + i]) * inv_t) / sum;
          const double want = targets[r] < 0 ? 0 : dlogprob[r] * inv_t * (double(i == targets[r]) - p);
          ASSERT_NEAR(g[r * vocab + i], want, 5e-6);
        }
      }
    }
  }
}

TEST(LogProb, MaskedLogitsAndOneResult) {
  const int64_t rows = 5, vocab = 5000;
  Floats z = random_floats(rows * vocab, 1, 10);
  for (int64_t i = 0; i < vocab; i += 3) z[i] = -std::numeric_limits<float>::infinity();
  const std::vector<int64_t> targets = {1, 2, 3, 4, 5};
  const Floats d(rows, 1.0f);
  expect_one_result([&] {
    Floats lp(rows), lse(rows), h(rows), g = z;
    log_prob({.logits = z.data(),
              .rows = rows,
              .vocab = vocab,
              .targets = targets.data(),
              .logprob = lp.data(),
              .lse = lse.data(),
              .entropy = h.data()});
    log_prob_backward(
        {.logits = g.data(), .rows = rows, .vocab = vocab, .targets = targets.data(), .lse = lse.data(), .dlogprob = d.data()});
    for (const Floats* v : {&lp, &lse, &h, &g})
      for (float x : *v) EXPECT_TRUE(std::isfinite(x));
    return concat({lp, lse, h, g});
  });
  // A row alone has the bits it has among others.
  Floats all(rows), one(1);
  log_prob({.logits = z.data(), .rows = rows, .vocab = vocab, .lse = all.data()});
  log_prob({.logits = z.data() + 3 * vocab, .rows = 1, .vocab = vocab, .lse = one.data()});
  EXPECT_EQ(bits(all[3]), bits(one[0]));
}

// ---- embedding

TEST(Embedding, GathersAndScatters) {
  const int64_t vocab = 6, dim = 70, tokens = 500;
  const Floats table = random_floats(vocab * dim, 1), dout = random_floats(tokens * dim, 2);
  std::vector<int64_t> ids;
  for (int64_t t = 0; t < tokens; ++t) ids.push_back(int64_t(random_bits(1, 1, t) % 5));  // 5 never occurs
  Floats out(tokens * dim);
  embedding({.table = {table.data()}, .ids = ids.data(), .out = {out.data()}, .tokens = tokens, .vocab = vocab, .dim = dim});
  for (int64_t t = 0; t < tokens; ++t) ASSERT_EQ(0, std::memcmp(&out[t * dim], &table[ids[t] * dim], dim * 4));
  Floats want(vocab * dim, 1.0f);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t i = 0; i < dim; ++i) want[ids[t] * dim + i] += dout[t * dim + i];
  expect_one_result([&] {
    Floats got(vocab * dim, 1.0f);
    embedding_backward({.dout = {dout.data()}, .ids = ids.data(), .dtable = {got.data()}, .tokens = tokens, .vocab = vocab, .dim = dim});
    EXPECT_EQ(got, want);
    return got;
  });
  ids[7] = 6;
  EXPECT_THROW(embedding({.table = {table.data()}, .ids = ids.data(), .out = {out.data()}, .tokens = tokens, .vocab = vocab, .dim = dim}),
               Error);
}

// ---- optimizer

TEST(Optimizer, AdamWFollowsThePaper) {
  const int64_t n = 1003;
  const Floats w0 = random_floats(n, 1), grad = random_floats(n, 2);
  const double lr = 0.01, b1 = 0.9, b2 = 0.95, eps = 1e-8, wd = 0.1;
  auto run = [&] {
    Floats w = w0, m(n), v(n);
    std::vector<uint16_t> narrow(n);
    for (int64_t step = 1; step <= 5; ++step)
      adamw({.weight = w.data(),
             .grad = grad.data(),
             .m = m.data(),
             .v = v.data(),
             .weight_bf16 = narrow.data(),
             .n = n,
             .lr = lr,
             .beta1 = b1,
             .beta2 = b2,
             .eps = eps,
             .weight_decay = wd,
             .step = step,
             .grad_scale = 0.5f});
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(narrow[i], to_bf16(w[i]));
    return concat({w, m, v});
  };
  const Floats got = run();
  for (int64_t i = 0; i < n; ++i) {
    double w = w0[i], m = 0, v = 0;
    const double g = 0.5 * grad[i];
    for (int step = 1; step <= 5; ++step) {
      w -= lr * wd * w;
      m = b1 * m + (1 - b1) * g, v = b2 * v + (1 - b2) * g * g;
      w -= lr * (m / (1 - std::pow(b1, step))) / (std::sqrt(v / (1 - std::pow(b2, step))) + eps);
    }
    ASSERT_NEAR(got[i], w, 1e-6);
    ASSERT_NEAR(got[n + i], m, 1e-7);
    ASSERT_NEAR(got[2 * n + i], v, 1e-7);
  }
  expect_one_result(run);
}

TEST(Optimizer, SumsAndAdditions) {
  const int64_t n = 100003;
  const Floats x = random_floats(n, 1);
  double want = 0;
  for (float f : x) want += double(f) * f;
  EXPECT_NEAR(sum_of_squares(x.data(), Float::kF32, n) / want, 1, 1e-6);
  EXPECT_EQ(sum_of_squares(nullptr, Float::kF32, 0), 0);
  Floats rounded = x;
  const auto narrow = narrowed(rounded);
  EXPECT_EQ(sum_of_squares(narrow.data(), Float::kBf16, n), sum_of_squares(rounded.data(), Float::kF32, n));
  expect_one_result([&] {
    Floats y = x;
    add_scaled(y.data(), rounded.data(), -0.3f, n);
    for (int64_t i = 0; i < n; i += 101) EXPECT_EQ(y[i], std::fma(-0.3f, rounded[i], x[i]));
    y.push_back(float(sum_of_squares(x.data(), Float::kF32, n)));
    return y;
  });
}

// ---- dropout

TEST(Dropout, IsAFunctionOfTheIndex) {
  const int64_t n = 40001;
  const Floats x(n, 3.0f);
  Floats y(n), part(n);
  dropout({.x = x.data(), .y = y.data(), .n = n, .p = 0.25, .seed = 5, .stream = 6});
  int64_t kept = 0;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t word = philox4x32({uint32_t(i / 4), 0, 6, 0}, {5, 0})[i % 4];
    ASSERT_EQ(y[i], word >= 0x40000000u ? 4.0f : 0.0f);
    kept += y[i] != 0;
  }
  EXPECT_NEAR(double(kept) / double(n), 0.75, 0.01);
  for (int64_t at : {0, 1, 6, 1001}) {  // a piece has the mask of the whole
    dropout({.x = x.data(), .y = part.data(), .n = 77, .p = 0.25, .seed = 5, .stream = 6, .first = uint64_t(at)});
    for (int64_t i = 0; i < 77; ++i) ASSERT_EQ(part[i], y[at + i]);
  }
  dropout({.x = x.data(), .y = part.data(), .n = n, .p = 0, .seed = 5, .stream = 6});
  EXPECT_EQ(part, x);
  EXPECT_THROW(dropout({.x = x.data(), .y = part.data(), .n = n, .p = 1, .seed = 5, .stream = 6}), Error);
}

// exp and log are seen through their users: a softmax of one value and of two.
TEST(Elementary, ExpAndLogAreAccurateOverTheirRange) {
  for (double x = -86; x < 0; x += 0.0137) {
    Floats z = {float(x), 0.0f};
    const double exact_lse = std::log1p(std::exp(double(float(x))));
    float lse;
    const int64_t target = 0;
    log_prob({.logits = z.data(), .rows = 1, .vocab = 2, .lse = &lse});
    ASSERT_NEAR(lse, exact_lse, 1.5e-7) << x;
    const float zero_lse = 0, one = -1;
    // With lse = 0 and dlogprob = -1 the gradient of an entry that is not the target is e^z.
    Floats h = {1.0f, float(x)};
    log_prob_backward({.logits = h.data(), .rows = 1, .vocab = 2, .targets = &target, .lse = &zero_lse, .dlogprob = &one});
    ASSERT_NEAR(h[1] / std::exp(double(float(x))), 1, 2.5e-7) << x;
  }
}

}  // namespace
}  // namespace r1::kernels
