#include "r1/ops/optimizer_step.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "r1/base/error.h"
#include "r1/kernels/cpu/optimizer.h"
#include "r1/tensor/aten.h"

namespace r1::ops {
namespace {

constexpr int64_t kSmallMatrix = 256 << 10;  // elements; fifteen products of such take a few milliseconds
constexpr int64_t kBlock = 4096;             // elements whose sum is taken in one go; fixed, so that the order of sums is

void check_state(const char* op, const Tensor& w, const Tensor& other, const char* what) {
  check(other.scalar_type() == at::kFloat && other.is_contiguous() && other.sizes() == w.sizes() && other.device() == w.device(), "[", op,
        "] expected ", what, " fp32, contiguous, of shape ", w.sizes(), " on ", w.device(), ", got ", other.scalar_type(), " ",
        other.sizes(), " on ", other.device());
}

// For gradients so large that fp32 sums overflow: finite all the same.
double squared_sum_wide(const float* x, int64_t n) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  std::vector<double> sums(static_cast<size_t>(blocks));
  at::parallel_for(0, blocks, 16, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      double lanes[8] = {};
      const int64_t end = std::min(n, (block + 1) * kBlock);
      for (int64_t i = block * kBlock; i < end; ++i) lanes[i & 7] += double(x[i]) * double(x[i]);
      sums[size_t(block)] = ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
    }
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

}  // namespace

void adamw_step(Tensor& w, const Tensor& g, Tensor& m, Tensor& v, const AdamW& o) {
  check_state("adamw_step", w, w, "w");
  check_state("adamw_step", w, g, "gradient");
  check_state("adamw_step", w, m, "first moment");
  check_state("adamw_step", w, v, "second moment");
  at::NoGradGuard no_grad;
  if (w.is_cpu()) {
    kernels::adamw({.weight = w.data_ptr<float>(),
                    .grad = g.data_ptr<float>(),
                    .m = m.data_ptr<float>(),
                    .v = v.data_ptr<float>(),
                    .n = w.numel(),
                    .lr = o.lr,
                    .beta1 = o.beta1,
                    .beta2 = o.beta2,
                    .eps = o.epsilon,
                    .weight_decay = o.weight_decay,
                    .step = o.t,
                    .grad_scale = float(o.gradient_scale)});
    return;
  }
  const std::vector<Tensor> steps{aten::full({}, double(o.t), w.options())}, none;
  const std::vector<Tensor> scaled{o.gradient_scale == 1 ? g : g * o.gradient_scale};
  aten::_fused_adamw_({w}, scaled, {m}, {v}, none, steps, o.lr, o.beta1, o.beta2, o.weight_decay, o.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false);
}

Tensor newton_schulz(const Tensor& g, int steps) {
  check(g.dim() == 2, "[newton_schulz] expected a matrix, got shape ", g.sizes());
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;  // Jordan's quintic: steep at 0, and it need not converge to 1 exactly
  const bool tall = g.size(0) > g.size(1);
  Tensor x = tall ? g.t() : g;
  x = x / (aten::linalg_vector_norm(x) + 1e-7);
  for (int i = 0; i < steps; ++i) {
    const Tensor gram = aten::mm(x, x.t());
    x = aten::addmm(x, aten::addmm(gram, gram, gram, b, c), x, a, 1);
  }
  return tall ? x.t().contiguous() : x;
}

void muon_step(Tensor& w, const Tensor& g, Tensor& momentum, const Muon& o) {
  check(w.dim() == 2, "[muon_step] expected a matrix, got shape ", w.sizes());
  check_state("muon_step", w, g, "gradient");
  check_state("muon_step", w, momentum, "momentum");
  at::NoGradGuard no_grad;
  const Tensor grad = o.gradient_scale == 1 ? g : g * o.gradient_scale;
  momentum.lerp_(grad, 1 - o.momentum);
  const Tensor direction = newton_schulz(grad.lerp(momentum, o.momentum));
  const double shape = std::sqrt(std::max(1.0, double(w.size(0)) / double(w.size(1))));
  w.mul_(1 - o.lr * o.weight_decay).add_(direction, -o.lr * shape);
}

void muon_steps(const std::vector<MuonUpdate>& updates) {
  const auto step = [&](const MuonUpdate& u) {
    Tensor w = u.w, momentum = u.momentum;
    muon_step(w, u.gradient, momentum, u.options);
  };
  const auto is_small = [](const Tensor& w) { return w.is_cpu() && w.numel() <= kSmallMatrix; };
  std::vector<const MuonUpdate*> small;
  for (const MuonUpdate& u : updates) is_small(u.w) ? small.push_back(&u) : step(u);
  at::parallel_for(0, int64_t(small.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) step(*small[size_t(i)]);
  });
}

Tensor squared_sum(const Tensor& x) {
  at::NoGradGuard no_grad;
  if (x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous()) {
    double sum = kernels::sum_of_squares(x.data_ptr<float>(), kernels::Float::kF32, x.numel());
    if (!std::isfinite(sum)) sum = squared_sum_wide(x.data_ptr<float>(), x.numel());
    return aten::full({}, sum, x.options().dtype(at::kDouble).requires_grad(false));
  }
  return aten::linalg_vector_norm(x, 2, std::nullopt, false, at::kDouble).square();
}

}  // namespace r1::ops
