#include "r1/ops/logprob.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "r1/base/error.h"
#include "r1/ops/autograd.h"
#include "r1/ops/linear.h"

namespace r1::ops {

namespace {

// Rows of logits held at a time: 64 MB of fp32.
int64_t chunk_rows(int64_t tokens, int64_t vocab) {
  return std::clamp<int64_t>((int64_t{16} << 20) / vocab / 8 * 8, 8, std::max<int64_t>(tokens, 8));
}

Tensor chunk_logits(const Tensor& x_CD, const Tensor& head_VD, double temperature) {
  Tensor z_CV = ops::linear(x_CD, head_VD).to(at::kFloat);
  if (temperature != 1) z_CV.div_(temperature);
  return z_CV;
}

struct Forward {
  LogProbs result;
  Tensor lse_T;
};

Forward forward(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, double temperature, bool want_entropy) {
  const int64_t tokens = x_TD.size(0), rows = chunk_rows(tokens, head_VD.size(0));
  const auto options = x_TD.options().dtype(at::kFloat);
  Forward f{{at::empty({tokens}, options), want_entropy ? at::empty({tokens}, options) : Tensor()}, at::empty({tokens}, options)};
  for (int64_t begin = 0; begin < tokens; begin += rows) {
    const int64_t count = std::min(rows, tokens - begin);
    const Tensor z_CV = chunk_logits(x_TD.narrow(0, begin, count), head_VD, temperature);
    const Tensor targets_C = targets_T.narrow(0, begin, count), lse_C = at::logsumexp(z_CV, {-1});
    const Tensor picked_C = z_CV.gather(1, targets_C.clamp_min(0).unsqueeze(1)).squeeze(1);
    f.lse_T.narrow(0, begin, count).copy_(lse_C);
    f.result.logprob_T.narrow(0, begin, count).copy_((picked_C - lse_C).masked_fill(targets_C < 0, 0));
    if (want_entropy) f.result.entropy_T.narrow(0, begin, count).copy_(lse_C - (at::softmax(z_CV, -1) * z_CV).sum(-1));
  }
  return f;
}

// d logprob / d z = (onehot(target) - softmax(z)), then through z = x . head^T / temperature.
Tensors backward(const Tensor& d_T, const Tensors& saved, const Wanted& want, double temperature) {
  const Tensor &x_TD = saved[0], &head_VD = saved[1], &targets_T = saved[2], &lse_T = saved[3];
  const int64_t tokens = x_TD.size(0), rows = chunk_rows(tokens, head_VD.size(0));
  const Tensor d_live_T = d_T.masked_fill(targets_T < 0, 0) / temperature;
  Tensor dx_TD = want[0] ? at::empty_like(x_TD) : Tensor();
  Tensor dhead_VD = want[1] ? at::zeros(head_VD.sizes(), head_VD.options().dtype(at::kFloat)) : Tensor();
  for (int64_t begin = 0; begin < tokens; begin += rows) {
    const int64_t count = std::min(rows, tokens - begin);
    const Tensor x_CD = x_TD.narrow(0, begin, count), d_C1 = d_live_T.narrow(0, begin, count).unsqueeze(1);
    Tensor dz_CV = chunk_logits(x_CD, head_VD, temperature);
    dz_CV.sub_(lse_T.narrow(0, begin, count).unsqueeze(1)).exp_().mul_(-d_C1);
    dz_CV.scatter_add_(1, targets_T.narrow(0, begin, count).clamp_min(0).unsqueeze(1), d_C1);
    const Tensor low_CV = dz_CV.to(x_TD.scalar_type());
    if (want[0]) dx_TD.narrow(0, begin, count).copy_(at::matmul(low_CV, head_VD));
    if (want[1]) dhead_VD.add_(at::matmul(low_CV.t(), x_CD));
  }
  return {dx_TD, want[1] ? dhead_VD.to(head_VD.scalar_type()) : Tensor()};
}

}  // namespace

LogProbs linear_logprob(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, double temperature, bool want_entropy) {
  check(x_TD.dim() == 2 && head_VD.dim() == 2 && x_TD.size(1) == head_VD.size(1),
        "[linear_logprob] expected x [T, D] and head [V, D], got ", x_TD.sizes(), " and ", head_VD.sizes());
  check(targets_T.dim() == 1 && targets_T.size(0) == x_TD.size(0) && targets_T.scalar_type() == at::kLong,
        "[linear_logprob] expected int64 targets [", x_TD.size(0), "], got ", targets_T.scalar_type(), " ", targets_T.sizes());
  check(temperature > 0, "[linear_logprob] expected a temperature above 0, got ", temperature);
  Forward f;
  {
    const at::NoGradGuard no_grad;
    f = forward(x_TD, head_VD, targets_T, temperature, want_entropy);
  }
  if (!needs_grad({x_TD, head_VD})) return f.result;
  f.result.logprob_T = differentiable(
      "linear_logprob", f.result.logprob_T, {x_TD, head_VD}, {x_TD, head_VD, targets_T, f.lse_T},
      [temperature](const Tensor& d_T, const Tensors& saved, const Wanted& want) { return backward(d_T, saved, want, temperature); });
  return f.result;
}

}  // namespace r1::ops
