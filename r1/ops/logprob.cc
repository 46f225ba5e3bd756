#include "r1/ops/logprob.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "r1/base/error.h"
#include "r1/kernels/cpu/softmax.h"
#include "r1/ops/linear.h"
#include "r1/ops/linear_cpu.h"
#include "r1/ops/logprob_impl.h"
#include "r1/ops/packed_linear.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// logprob, and if defined lse and entropy, of one chunk of logits (which it may overwrite).
void pick(const Tensor& z_CV, const Tensor& targets_C, double temperature, const Tensor& logprob_C, const Tensor& lse_C,
          const Tensor& entropy_C) {
  if (z_CV.is_cpu()) {
    kernels::log_prob({.logits = z_CV.const_data_ptr<float>(),
                       .rows = z_CV.size(0),
                       .vocab = z_CV.size(1),
                       .targets = targets_C.const_data_ptr<int64_t>(),
                       .inv_temperature = float(1 / temperature),
                       .logprob = logprob_C.mutable_data_ptr<float>(),
                       .lse = lse_C.mutable_data_ptr<float>(),
                       .entropy = entropy_C.defined() ? entropy_C.mutable_data_ptr<float>() : nullptr});
    return;
  }
  if (temperature != 1) z_CV.mul_(1 / temperature);
  lse_C.copy_(aten::logsumexp(z_CV, {-1}));
  const Tensor picked_C = z_CV.gather(1, targets_C.clamp_min(0).unsqueeze(1)).squeeze(1);
  logprob_C.copy_((picked_C - lse_C).masked_fill(targets_C < 0, 0));
  if (entropy_C.defined()) entropy_C.copy_(lse_C - (aten::softmax(z_CV, -1) * z_CV).sum(-1));
}

// Logits to their gradient, in place: d logprob / d z = (onehot(target) - softmax(z)) / temperature.
void logits_to_gradient(const Tensor& z_CV, const Tensor& targets_C, double temperature, const Tensor& lse_C, const Tensor& d_C) {
  if (z_CV.is_cpu()) {
    kernels::log_prob_backward({.logits = z_CV.mutable_data_ptr<float>(),
                                .rows = z_CV.size(0),
                                .vocab = z_CV.size(1),
                                .targets = targets_C.const_data_ptr<int64_t>(),
                                .lse = lse_C.const_data_ptr<float>(),
                                .dlogprob = d_C.const_data_ptr<float>(),
                                .inv_temperature = float(1 / temperature)});
    return;
  }
  if (temperature != 1) z_CV.mul_(1 / temperature);
  const Tensor d_C1 = (d_C.masked_fill(targets_C < 0, 0) / temperature).unsqueeze(1);
  z_CV.sub_(lse_C.unsqueeze(1)).exp_().mul_(-d_C1);
  const int64_t vocab = z_CV.size(1);  // targets from there on are another rank's
  z_CV.scatter_add_(1, targets_C.clamp(0, vocab - 1).unsqueeze(1), d_C1.masked_fill((targets_C >= vocab).unsqueeze(1), 0));
}

// On the CPU only: a device's ids cannot be looked at without waiting for it.
void check_targets(const char* op, const Tensor& targets_T, int64_t vocab) {
  if (!targets_T.is_cpu()) return;
  const auto targets = targets_T.accessor<int64_t, 1>();
  for (int64_t t = 0; t < targets.size(0); ++t) {
    check(targets[t] < vocab, "[", op, "] expected targets below ", vocab, ", got ", targets[t], " at token ", t);
  }
}

void check_arguments(const char* op, const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, double temperature,
                     const HeadShare* share = nullptr) {
  check(x_TD.dim() == 2 && head_VD.dim() == 2 && x_TD.size(1) == head_VD.size(1) && x_TD.scalar_type() == head_VD.scalar_type(), "[", op,
        "] expected x [T, D] and head [V, D] of one dtype, got ", x_TD.scalar_type(), " ", x_TD.sizes(), " and ", head_VD.scalar_type(),
        " ", head_VD.sizes());
  check(targets_T.dim() == 1 && targets_T.size(0) == x_TD.size(0) && targets_T.scalar_type() == at::kLong, "[", op,
        "] expected int64 targets [", x_TD.size(0), "], got ", targets_T.scalar_type(), " ", targets_T.sizes());
  check(temperature > 0, "[", op, "] expected a temperature above 0, got ", temperature);
  check_targets(op, targets_T, share ? share->vocabulary : head_VD.size(0));
}

// Chunk by chunk in tensor operations and CPU kernels.
LogProbForward forward_in_chunks(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, double temperature,
                                 bool want_entropy) {
  const int64_t tokens = x_TD.size(0), rows = logits_chunk_rows(x_TD.size(0), head_VD.size(0), x_TD.device(), x_TD.scalar_type());
  const auto options = x_TD.options().dtype(at::kFloat);
  LogProbForward f{{aten::empty({tokens}, options), want_entropy ? aten::empty({tokens}, options) : Tensor()},
                   aten::empty({tokens}, options)};
  for (int64_t begin = 0; begin < tokens; begin += rows) {
    const int64_t count = std::min(rows, tokens - begin);
    const auto part = [&](const Tensor& t) { return t.defined() ? t.narrow(0, begin, count) : Tensor(); };
    pick(linear_logits(part(x_TD), head_VD), part(targets_T), temperature, part(f.result.logprob_T), part(f.lse_T),
         part(f.result.entropy_T));
  }
  return f;
}

LogProbForward forward(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, double temperature, bool want_entropy) {
  if (has_cuda_kernels(x_TD)) return linear_logprob_cuda(x_TD, head_VD, targets_T, temperature, want_entropy);
  return forward_in_chunks(x_TD, head_VD, targets_T, temperature, want_entropy);
}

// Targets by their row of this rank's head; `elsewhere` for those of other ranks, -1 for none.
Tensor own_targets(const Tensor& targets_T, const HeadShare& share, int64_t rows, int64_t elsewhere) {
  const Tensor own_T = targets_T - share.first;
  return own_T.masked_fill((own_T < 0) | (own_T >= rows), elsewhere).masked_fill(targets_T < 0, -1);
}

// The ranks' results over their parts of the logits, put together:
//   lse = log sum_r exp lse_r,  E[z] = sum_r exp(lse_r - lse) (lse_r - entropy_r),  the target's logit = logprob_r + lse_r where it is
LogProbForward forward_shared(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, double temperature, bool want_entropy,
                              const HeadShare& share) {
  const Tensor own_T = own_targets(targets_T, share, head_VD.size(0), -1);
  LogProbForward f = forward_in_chunks(x_TD, head_VD, own_T, temperature, want_entropy);
  Tensor most_T = f.lse_T.clone();
  share.max(most_T);
  const Tensor part_T = (f.lse_T - most_T).exp(), target_T = (f.result.logprob_T + f.lse_T).masked_fill(own_T < 0, 0);
  std::vector<Tensor> terms{part_T, target_T};
  if (want_entropy) terms.push_back(part_T * (f.lse_T - f.result.entropy_T));
  Tensor sums = aten::stack(terms);
  share.sum(sums);
  f.lse_T = most_T + sums[0].log();
  f.result.logprob_T = (sums[1] - f.lse_T).masked_fill(targets_T < 0, 0);
  if (want_entropy) f.result.entropy_T = f.lse_T - sums[2] / sums[0];
  return f;
}

// dhead (+)= dz^T x, summed over the chunks in fp32.
void add_head_gradient(const Tensor& dhead_VD, const Tensor& dz_CV, const Tensor& x_CD) {
  if (has_cpu_products(x_CD))
    linear_grad_w_into(dhead_VD, dz_CV, x_CD.contiguous(), /*add=*/true);
  else
    dhead_VD.add_(aten::matmul(dz_CV.to(x_CD.scalar_type()).t(), x_CD));
}

void put_x_gradient(const Tensor& dx_CD, const Tensor& dz_CV, const Tensor& head_VD) {
  if (has_cpu_products(head_VD))
    linear_grad_x_into(dx_CD, dz_CV, head_VD);
  else
    dx_CD.copy_(aten::matmul(dz_CV.to(head_VD.scalar_type()), head_VD));
}

// targets_T of a shared head: own_targets(), with the number of its rows for those that are elsewhere.
Tensors backward(const Tensor& d, const Tensors& saved, const Wanted& want, double temperature, bool shared) {
  const Tensor &x_TD = saved[0], &head_VD = saved[1], &targets_T = saved[2], &lse_T = saved[3], d_T = d.contiguous();
  if (has_cuda_kernels(x_TD) && !shared) return linear_logprob_backward_cuda(d_T, saved, want, temperature);
  const int64_t tokens = x_TD.size(0), rows = logits_chunk_rows(x_TD.size(0), head_VD.size(0), x_TD.device(), x_TD.scalar_type());
  Tensor dx_TD = want[0] ? aten::empty(x_TD.sizes(), x_TD.options()) : Tensor();
  Tensor dhead_VD = want[1] ? aten::zeros(head_VD.sizes(), head_VD.options().dtype(at::kFloat)) : Tensor();
  for (int64_t begin = 0; begin < tokens; begin += rows) {
    const auto part = [&, count = std::min(rows, tokens - begin)](const Tensor& t) { return t.narrow(0, begin, count); };
    const Tensor z_CV = linear_logits(part(x_TD), head_VD);
    logits_to_gradient(z_CV, part(targets_T), temperature, part(lse_T), part(d_T));
    if (want[0]) put_x_gradient(part(dx_TD), z_CV, head_VD);
    if (want[1]) add_head_gradient(dhead_VD, z_CV, part(x_TD));
  }
  return {dx_TD, want[1] ? dhead_VD.to(head_VD.scalar_type()) : Tensor()};
}

}  // namespace

Tensor packed_logprob(const Tensor& x_TD, const tensor::PackedMatrix& head, const Tensor& targets_T) {
  check(x_TD.dim() == 2 && targets_T.dim() == 1 && targets_T.size(0) == x_TD.size(0) && targets_T.scalar_type() == at::kLong,
        "[packed_logprob] expected x [T, D] and int64 targets [T], got ", x_TD.sizes(), " and ", targets_T.scalar_type(), " ",
        targets_T.sizes());
  check_targets("packed_logprob", targets_T, head.rows());
  const at::NoGradGuard no_grad;
  const int64_t tokens = x_TD.size(0), rows = logits_chunk_rows(tokens, head.rows(), at::kCPU, at::kFloat);
  const Tensor logprob_T = aten::empty({tokens}, at::kFloat), lse_T = aten::empty({tokens}, at::kFloat), targets = targets_T.contiguous();
  for (int64_t begin = 0; begin < tokens; begin += rows) {
    const auto part = [&, count = std::min(rows, tokens - begin)](const Tensor& t) { return t.narrow(0, begin, count); };
    pick(packed_linear_fp32(part(x_TD), head, 0, head.rows()), part(targets), 1, part(logprob_T), part(lse_T), {});
  }
  return logprob_T;
}

Tensor linear_logits(const Tensor& x_RD, const Tensor& head_VD) {
  return linear_fp32(x_RD, head_VD);
}

int64_t logits_chunk_rows(int64_t tokens, int64_t vocab, at::Device device, at::ScalarType type) {
  // CPU: enough that a pass over the head's gradient is cheap beside the product, 64 MB of fp32.
  if (device.is_cpu()) return std::clamp<int64_t>((int64_t{16} << 20) / vocab / 8 * 8, 8, std::max<int64_t>(tokens, 8));
  const int64_t row_bytes = vocab * (type == at::kFloat ? 4 : 6);  // logits in fp32, their gradient in 16 bits
  const int64_t most = std::max<int64_t>((int64_t{2} << 30) / row_bytes / 128 * 128, 8),
                chunks = std::max<int64_t>((tokens + most - 1) / most, 1);
  return std::min(most, ((tokens + chunks - 1) / chunks + 127) / 128 * 128);
}

LogProbs linear_logprob(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, double temperature, bool want_entropy,
                        const HeadShare* share) {
  check_arguments("linear_logprob", x_TD, head_VD, targets_T, temperature, share);
  check(!share || x_TD.scalar_type() != at::kDouble, "[linear_logprob] a head that ranks share is not for float64");
  if (x_TD.scalar_type() == at::kDouble) return linear_logprob_ref(x_TD, head_VD, targets_T, temperature, want_entropy);
  LogProbForward f;
  Tensor x, head, targets;
  {
    const at::NoGradGuard no_grad;
    x = x_TD.contiguous(), head = head_VD.contiguous(), targets = targets_T.contiguous();
    f = share ? forward_shared(x, head, targets, temperature, want_entropy, *share) : forward(x, head, targets, temperature, want_entropy);
    if (share) targets = own_targets(targets, *share, head.size(0), head.size(0));
  }
  if (!needs_grad({x_TD, head_VD})) return f.result;
  f.result.logprob_T =
      differentiable("linear_logprob", f.result.logprob_T, {x_TD, head_VD}, {x, head, targets, f.lse_T},
                     [temperature, shared = share != nullptr](const Tensor& d_T, const Tensors& saved, const Wanted& want) {
                       return backward(d_T, saved, want, temperature, shared);
                     });
  return f.result;
}

Nll linear_nll(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T, double temperature) {
  check_arguments("linear_nll", x_TD, head_VD, targets_T, temperature);
  check(weights_T.sizes() == targets_T.sizes() && weights_T.scalar_type() == (x_TD.scalar_type() == at::kDouble ? at::kDouble : at::kFloat),
        "[linear_nll] expected fp32 weights [", x_TD.size(0), "], got ", weights_T.scalar_type(), " ", weights_T.sizes());
  if (!has_cuda_kernels(x_TD) || !needs_grad({x_TD, head_VD})) {
    const Tensor logprob_T = linear_logprob(x_TD, head_VD, targets_T, temperature).logprob_T;
    return {-(logprob_T * weights_T).sum(), logprob_T.detach()};
  }
  Nll nll;
  LogProbGradients g;
  {
    const at::NoGradGuard no_grad;
    g = linear_logprob_gradients_cuda(x_TD.contiguous(), head_VD.contiguous(), targets_T.contiguous(), -weights_T.contiguous(), temperature,
                                      x_TD.requires_grad(), head_VD.requires_grad());
    nll = {-(g.logprob_T * weights_T).sum(), g.logprob_T};
  }
  nll.sum = differentiable("linear_nll", nll.sum, {x_TD, head_VD}, {g.dx_TD, g.dhead_VD},
                           [options = head_VD.options()](const Tensor& d, const Tensors& saved, const Wanted& want) {
                             Tensor dhead_VD = want[1] ? aten::empty(saved[1].sizes(), options) : Tensor();
                             if (want[1]) aten::mul_out(dhead_VD, saved[1], d);
                             return Tensors{want[0] ? saved[0] * d : Tensor(), dhead_VD};
                           });
  return nll;
}

}  // namespace r1::ops
