#include "r1/ops/divergence.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <tuple>

#include "r1/base/error.h"
#include "r1/ops/autograd.h"
#include "r1/ops/linear_cpu.h"
#include "r1/ops/logprob.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

Tensor logits(const Tensor& x_CD, const Tensor& head_VD) {
  return x_CD.scalar_type() == at::kDouble ? aten::matmul(x_CD, head_VD.t()) : linear_logits(x_CD, head_VD);
}

// The first `vocab` logits at the temperature.
Tensor compared(const Tensor& z_CV, int64_t vocab, double temperature) {
  const Tensor z = vocab == z_CV.size(1) ? z_CV : z_CV.narrow(1, 0, vocab);
  return temperature == 1 ? z : z / temperature;
}

struct Outcomes {
  Tensor d_C, g_CJ;  // D, and its gradient by the student's logits of the outcomes
};

// The derivative of D by the logits behind p = exp(lp): forward p - t; else p_j (h_j - sum_i p_i h_i) with h = dD/dp up to a constant,
// which is lp - lt for the reverse form and (1 - beta)(lp - m) for the mixed one.
Outcomes diverge(const Tensor& lp_CJ, const Tensor& lt_CJ, double beta) {
  const Tensor p_CJ = lp_CJ.exp();
  if (beta == 0) {
    const Tensor t_CJ = lt_CJ.exp();
    return {(t_CJ * (lt_CJ - lp_CJ)).sum(-1), p_CJ - t_CJ};
  }
  if (beta == 1) {
    const Tensor h_CJ = lp_CJ - lt_CJ, d_C = (p_CJ * h_CJ).sum(-1);
    return {d_C, p_CJ * (h_CJ - d_C.unsqueeze(1))};
  }
  const Tensor m_CJ = (lt_CJ + std::log(beta)).logaddexp(lp_CJ + std::log1p(-beta));
  const Tensor h_CJ = (lp_CJ - m_CJ) * (1 - beta), ph_C = (p_CJ * h_CJ).sum(-1);
  return {(lt_CJ.exp() * (lt_CJ - m_CJ)).sum(-1) * beta + ph_C, p_CJ * (h_CJ - ph_C.unsqueeze(1))};
}

// D and its gradient by the compared logits [C, vocab], of rows [begin, begin + count).
using Compare = std::function<Outcomes(const Tensor& z_CW, int64_t begin, int64_t count)>;

Outcomes compare_states(const TeacherStates& teacher, const DivergenceOptions& o, const Tensor& z_CW, int64_t begin, int64_t count) {
  const Tensor t_CW = compared(logits(teacher.x_TE.narrow(0, begin, count), teacher.head_VE), z_CW.size(1), o.temperature);
  return diverge(z_CW.log_softmax(-1), t_CW.to(z_CW.scalar_type()).log_softmax(-1), o.beta);
}

Outcomes compare_top(const TeacherTop& teacher, const DivergenceOptions& o, const Tensor& z_CW, int64_t begin, int64_t count) {
  const Tensor ids_CK = teacher.ids_TK.narrow(0, begin, count), lt_CJ = teacher.logprob_TJ.narrow(0, begin, count).to(z_CW.scalar_type());
  const Tensor others_CW = z_CW.scatter(1, ids_CK, kNever), rest_C1 = aten::logsumexp(others_CW, {1}, /*keepdim=*/true);
  const Tensor lp_CJ = aten::cat({z_CW.gather(1, ids_CK), rest_C1}, 1).log_softmax(-1);
  const Outcomes on = diverge(lp_CJ, lt_CJ, o.beta);
  const int64_t k = ids_CK.size(1);
  // What falls to "any other" is shared among them as their softmax is.
  const Tensor g_CW = (others_CW - rest_C1).exp() * on.g_CJ.narrow(1, k, 1);
  return {on.d_C, g_CW.scatter(1, ids_CK, on.g_CJ.narrow(1, 0, k))};
}

void check_arguments(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T, int64_t teacher_rows,
                     const DivergenceOptions& o) {
  const char* op = "[linear_divergence]";
  check(x_TD.dim() == 2 && head_VD.dim() == 2 && x_TD.size(1) == head_VD.size(1) && x_TD.scalar_type() == head_VD.scalar_type(), op,
        " expected x [T, D] and head [V, D] of one dtype, got ", x_TD.scalar_type(), " ", x_TD.sizes(), " and ", head_VD.scalar_type(), " ",
        head_VD.sizes());
  check(targets_T.dim() == 1 && targets_T.size(0) == x_TD.size(0) && weights_T.sizes() == targets_T.sizes(), op, " expected targets and ",
        "weights [", x_TD.size(0), "], got ", targets_T.sizes(), " and ", weights_T.sizes());
  check(teacher_rows == x_TD.size(0), op, " expected a teacher of ", x_TD.size(0), " rows, got ", teacher_rows);
  check(o.temperature > 0 && o.beta >= 0 && o.beta <= 1, op, " expected a temperature above 0 and beta in [0, 1], got ", o.temperature,
        " and ", o.beta);
}

struct Made {
  Tensor sum, divergence_T, logprob_T, dx_TD, dhead_VD;
};

class Chunks {
 public:
  Chunks(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T, const DivergenceOptions& o)
      : x_TD_(x_TD.contiguous()), head_VD_(head_VD.contiguous()), targets_T_(targets_T.contiguous()), weights_T_(weights_T), o_(o) {}

  Made make(const Compare& compare, bool want_x, bool want_head) {
    const int64_t tokens = x_TD_.size(0), vocab = o_.vocab > 0 ? o_.vocab : head_VD_.size(0),
                  rows = logits_chunk_rows(tokens, head_VD_.size(0), x_TD_.device(), x_TD_.scalar_type());
    const auto wide = x_TD_.options().dtype(x_TD_.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
    Made made{.divergence_T = aten::empty({tokens}, wide), .logprob_T = aten::empty({tokens}, wide)};
    if (want_x) made.dx_TD = aten::empty(x_TD_.sizes(), x_TD_.options());
    if (want_head) made.dhead_VD = aten::zeros(head_VD_.sizes(), wide);
    for (int64_t begin = 0; begin < tokens; begin += rows) {
      const int64_t count = std::min(rows, tokens - begin);
      const auto part = [&](const Tensor& t) { return t.narrow(0, begin, count); };
      const Tensor x_CD = part(x_TD_), z_CV = logits(x_CD, head_VD_), w_C1 = part(weights_T_).unsqueeze(1);
      const Tensor target_C1 = part(targets_T_).clamp_min(0).unsqueeze(1), no_target_C = part(targets_T_) < 0;
      const Outcomes on = compare(compared(z_CV, vocab, o_.temperature), begin, count);
      const Tensor l_CV = z_CV.log_softmax(-1);
      part(made.divergence_T).copy_(on.d_C);
      part(made.logprob_T).copy_(l_CV.gather(1, target_C1).squeeze(1).masked_fill(no_target_C, 0));
      if (!want_x && !want_head) continue;
      Tensor dz_CV = aten::zeros_like(z_CV);
      dz_CV.narrow(1, 0, vocab).copy_(on.g_CJ * (w_C1 * (o_.divergence_weight / o_.temperature)));
      if (o_.ce_weight != 0) {
        const Tensor c_C1 = (w_C1 * o_.ce_weight).masked_fill(no_target_C.unsqueeze(1), 0);
        dz_CV.add_(l_CV.exp() * c_C1).scatter_add_(1, target_C1, -c_C1);
      }
      if (want_x) put_x_gradient(part(made.dx_TD), dz_CV);
      if (want_head) add_head_gradient(made.dhead_VD, dz_CV, x_CD);
    }
    made.sum = (weights_T_ * (made.divergence_T * o_.divergence_weight - made.logprob_T * o_.ce_weight)).sum();
    const Tensor dead_T = weights_T_ == 0;
    made.divergence_T.masked_fill_(dead_T, 0), made.logprob_T.masked_fill_(dead_T, 0);
    return made;
  }

 private:
  void put_x_gradient(const Tensor& dx_CD, const Tensor& dz_CV) const {
    if (has_cpu_products(head_VD_))
      linear_grad_x_into(dx_CD, dz_CV, head_VD_);
    else
      dx_CD.copy_(aten::matmul(dz_CV.to(head_VD_.scalar_type()), head_VD_));
  }
  static void add_head_gradient(const Tensor& dhead_VD, const Tensor& dz_CV, const Tensor& x_CD) {
    if (has_cpu_products(x_CD))
      linear_grad_w_into(dhead_VD, dz_CV, x_CD, /*add=*/true);
    else
      dhead_VD.add_(aten::matmul(dz_CV.to(x_CD.scalar_type()).t(), x_CD));
  }

  Tensor x_TD_, head_VD_, targets_T_, weights_T_;
  DivergenceOptions o_;
};

DivergenceLoss joined(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T,
                      const DivergenceOptions& o, const Compare& compare) {
  const bool grad = needs_grad({x_TD, head_VD});
  Made made;
  {
    const at::NoGradGuard no_grad;
    made = Chunks(x_TD, head_VD, targets_T, weights_T, o).make(compare, grad && x_TD.requires_grad(), grad && head_VD.requires_grad());
  }
  DivergenceLoss loss{made.sum, made.divergence_T, made.logprob_T};
  if (!grad) return loss;
  loss.sum = differentiable("linear_divergence", made.sum, {x_TD, head_VD}, {made.dx_TD, made.dhead_VD},
                            [type = head_VD.scalar_type()](const Tensor& d, const Tensors& saved, const Wanted& want) {
                              return Tensors{want[0] ? saved[0] * d : Tensor(), want[1] ? (saved[1] * d).to(type) : Tensor()};
                            });
  return loss;
}

}  // namespace

DivergenceLoss linear_divergence(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T,
                                 const TeacherStates& teacher, const DivergenceOptions& options) {
  check_arguments(x_TD, head_VD, targets_T, weights_T, teacher.x_TE.size(0), options);
  const int64_t vocab = options.vocab > 0 ? options.vocab : head_VD.size(0);
  check(vocab <= head_VD.size(0) && vocab <= teacher.head_VE.size(0), "[linear_divergence] expected ", vocab, " tokens in both heads, got ",
        head_VD.size(0), " and the teacher's ", teacher.head_VE.size(0));
  return joined(x_TD, head_VD, targets_T, weights_T, options,
                [&](const Tensor& z_CW, int64_t begin, int64_t count) { return compare_states(teacher, options, z_CW, begin, count); });
}

DivergenceLoss linear_divergence(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T,
                                 const TeacherTop& teacher, const DivergenceOptions& options) {
  check_arguments(x_TD, head_VD, targets_T, weights_T, teacher.ids_TK.size(0), options);
  check(teacher.logprob_TJ.size(1) == teacher.ids_TK.size(1) + 1, "[linear_divergence] expected a log-probability for each of the ",
        teacher.ids_TK.size(1), " ids and one for the rest, got ", teacher.logprob_TJ.size(1));
  return joined(x_TD, head_VD, targets_T, weights_T, options,
                [&](const Tensor& z_CW, int64_t begin, int64_t count) { return compare_top(teacher, options, z_CW, begin, count); });
}

TeacherTop linear_top(const Tensor& x_TE, const Tensor& head_VE, int64_t k, double temperature, int64_t vocab) {
  const at::NoGradGuard no_grad;
  if (vocab == 0) vocab = head_VE.size(0);
  check(k > 0 && k < vocab, "[linear_top] expected k in [1, ", vocab - 1, "], got ", k);
  const int64_t tokens = x_TE.size(0), rows = logits_chunk_rows(tokens, head_VE.size(0), x_TE.device(), x_TE.scalar_type());
  const auto wide = x_TE.options().dtype(x_TE.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  TeacherTop top{aten::empty({tokens, k}, wide.dtype(at::kLong)), aten::empty({tokens, k + 1}, wide)};
  for (int64_t begin = 0; begin < tokens; begin += rows) {
    const int64_t count = std::min(rows, tokens - begin);
    const Tensor z_CW = compared(logits(x_TE.narrow(0, begin, count).contiguous(), head_VE), vocab, temperature);
    const auto [values_CK, ids_CK] = z_CW.topk(k);
    const Tensor rest_C1 = aten::logsumexp(z_CW.scatter(1, ids_CK, kNever), {1}, /*keepdim=*/true);
    top.ids_TK.narrow(0, begin, count).copy_(ids_CK);
    top.logprob_TJ.narrow(0, begin, count).copy_(aten::cat({values_CK, rest_C1}, 1).log_softmax(-1));
  }
  return top;
}

}  // namespace r1::ops
