#include <cmath>
#include <limits>

#include "r1/ops/divergence.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// Log-probabilities of student and teacher over outcomes [T, J] -> D_T.
Tensor divergence(const Tensor& lp_TJ, const Tensor& lt_TJ, double beta) {
  const auto kl = [](const Tensor& a, const Tensor& b) { return (a.exp() * (a - b)).sum(-1); };
  if (beta == 0) return kl(lt_TJ, lp_TJ);
  if (beta == 1) return kl(lp_TJ, lt_TJ);
  const Tensor m_TJ = (beta * lt_TJ.exp() + (1 - beta) * lp_TJ.exp()).log();
  return beta * kl(lt_TJ, m_TJ) + (1 - beta) * kl(lp_TJ, m_TJ);
}

Tensor logits(const Tensor& x_TD, const Tensor& head_VD) {
  const auto wide = x_TD.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return aten::matmul(x_TD.to(wide), head_VD.to(wide).t());
}

DivergenceLoss finish(const Tensor& z_TV, const Tensor& d_T, const Tensor& targets_T, const Tensor& weights_T, const DivergenceOptions& o) {
  const Tensor logprob_T = z_TV.log_softmax(-1).gather(1, targets_T.clamp_min(0).unsqueeze(1)).squeeze(1).masked_fill(targets_T < 0, 0);
  const Tensor dead_T = weights_T == 0;
  return {(weights_T * (o.divergence_weight * d_T - o.ce_weight * logprob_T)).sum(), d_T.detach().masked_fill(dead_T, 0),
          logprob_T.detach().masked_fill(dead_T, 0)};
}

}  // namespace

DivergenceLoss linear_divergence_ref(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T,
                                     const TeacherStates& teacher, const DivergenceOptions& o) {
  const int64_t vocab = o.vocab > 0 ? o.vocab : head_VD.size(0);
  const Tensor z_TV = logits(x_TD, head_VD), t_TV = logits(teacher.x_TE, teacher.head_VE).detach();
  const auto outcomes = [&](const Tensor& t) { return (t.narrow(1, 0, vocab) / o.temperature).log_softmax(-1); };
  return finish(z_TV, divergence(outcomes(z_TV), outcomes(t_TV), o.beta), targets_T, weights_T, o);
}

DivergenceLoss linear_divergence_ref(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T,
                                     const TeacherTop& teacher, const DivergenceOptions& o) {
  const int64_t vocab = o.vocab > 0 ? o.vocab : head_VD.size(0);
  const Tensor z_TV = logits(x_TD, head_VD), lp_TV = (z_TV.narrow(1, 0, vocab) / o.temperature).log_softmax(-1);
  const Tensor others_TV = lp_TV.scatter(1, teacher.ids_TK, -std::numeric_limits<double>::infinity());
  const Tensor lp_TJ = aten::cat({lp_TV.gather(1, teacher.ids_TK), aten::logsumexp(others_TV, {1}, /*keepdim=*/true)}, 1);
  return finish(z_TV, divergence(lp_TJ, teacher.logprob_TJ.to(z_TV.scalar_type()), o.beta), targets_T, weights_T, o);
}

}  // namespace r1::ops
