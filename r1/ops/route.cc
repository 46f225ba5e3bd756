#include "r1/ops/route.h"

#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/kernels/cpu/experts.h"
#include "r1/ops/autograd.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

bool has_kernel(const Tensor& t) {
  return t.is_cpu() && t.scalar_type() == at::kFloat;
}

void check_scores(const Tensor& t, const char* what) {
  check(t.dim() == 2 && (t.scalar_type() == at::kFloat || t.scalar_type() == at::kDouble), "[route] expected ", what,
        " [T, E] in fp32, got ", t.scalar_type(), " ", t.sizes());
}

void check_options(const Tensor& score_TE, const Tensor& bias_E, const RouteOptions& o) {
  const int64_t experts = score_TE.size(1);
  check(!bias_E.defined() || (bias_E.dim() == 1 && bias_E.size(0) == experts && bias_E.scalar_type() == score_TE.scalar_type()),
        "[route] expected a bias of ", experts, " in ", score_TE.scalar_type(), ", got ", bias_E.sizes());
  check(o.groups >= 1 && experts % o.groups == 0 && o.groups_kept >= 1 && o.groups_kept <= o.groups, "[route] expected ", experts,
        " experts in equal groups, got ", o.groups, " groups of which ", o.groups_kept, " are kept");
  check(o.groups_kept == o.groups || o.group_by_max || experts / o.groups >= 2,
        "[route] expected groups of two experts or more (their best two count), got ", experts / o.groups);
  check(o.per_token >= 1 && o.per_token <= experts / o.groups * o.groups_kept, "[route] expected 1 to ", experts / o.groups * o.groups_kept,
        " experts a token, got ", o.per_token);
}

Tensor scores_cpu(const Tensor& logits_TE, bool softmax) {
  Tensor score_TE;
  {
    const at::NoGradGuard no_grad;
    const Tensor logits = logits_TE.contiguous();
    score_TE = aten::empty_like(logits);
    kernels::expert_scores({.logits = logits.const_data_ptr<float>(),
                            .scores = score_TE.mutable_data_ptr<float>(),
                            .rows = logits.size(0),
                            .experts = logits.size(1),
                            .softmax = softmax});
  }
  if (!needs_grad({logits_TE})) return score_TE;
  return differentiable("expert_scores", score_TE, {logits_TE}, {score_TE},
                        [softmax](const Tensor& dscore, const Tensors& saved, const Wanted&) {
                          const Tensor dscore_TE = dscore.contiguous(), dlogits_TE = aten::empty_like(dscore_TE);
                          kernels::expert_scores_backward({.scores = saved[0].const_data_ptr<float>(),
                                                           .dscores = dscore_TE.const_data_ptr<float>(),
                                                           .dlogits = dlogits_TE.mutable_data_ptr<float>(),
                                                           .rows = dscore_TE.size(0),
                                                           .experts = dscore_TE.size(1),
                                                           .softmax = softmax});
                          return Tensors{dlogits_TE};
                        });
}

Tensor gates_cpu(const Tensor& score_TE, const Tensor& expert_TK, bool normalised, double scale) {
  const int64_t rows = score_TE.size(0), experts = score_TE.size(1), per_token = expert_TK.size(1);
  Tensor score, gate_TK;
  {
    const at::NoGradGuard no_grad;
    score = score_TE.contiguous();
    gate_TK = aten::empty({rows, per_token}, score.options());
    kernels::expert_gates({.scores = score.const_data_ptr<float>(),
                           .chosen = expert_TK.const_data_ptr<int64_t>(),
                           .gates = gate_TK.mutable_data_ptr<float>(),
                           .rows = rows,
                           .experts = experts,
                           .per_token = per_token,
                           .normalised = normalised,
                           .scale = float(scale)});
  }
  if (!needs_grad({score_TE})) return gate_TK;
  return differentiable("expert_gates", gate_TK, {score_TE}, {score, expert_TK},
                        [normalised, scale](const Tensor& dgate, const Tensors& saved, const Wanted&) {
                          const Tensor dgate_TK = dgate.contiguous(), dscore_TE = aten::empty_like(saved[0]);
                          kernels::expert_gates_backward({.scores = saved[0].const_data_ptr<float>(),
                                                          .chosen = saved[1].const_data_ptr<int64_t>(),
                                                          .dgates = dgate_TK.const_data_ptr<float>(),
                                                          .dscores = dscore_TE.mutable_data_ptr<float>(),
                                                          .rows = dscore_TE.size(0),
                                                          .experts = dscore_TE.size(1),
                                                          .per_token = dgate_TK.size(1),
                                                          .normalised = normalised,
                                                          .scale = float(scale)});
                          return Tensors{dscore_TE};
                        });
}

}  // namespace

Tensor expert_scores(const Tensor& logits_TE, bool softmax) {
  check_scores(logits_TE, "logits");
  return has_kernel(logits_TE) ? scores_cpu(logits_TE, softmax) : expert_scores_ref(logits_TE, softmax);
}

Tensor choose_experts(const Tensor& score_TE, const Tensor& bias_E, const RouteOptions& options) {
  check_scores(score_TE, "scores");
  check_options(score_TE, bias_E, options);
  if (!has_kernel(score_TE)) return choose_experts_ref(score_TE, bias_E, options);
  const at::NoGradGuard no_grad;
  const Tensor score = score_TE.contiguous(), bias = bias_E.defined() ? bias_E.contiguous() : Tensor();
  const Tensor expert_TK = aten::empty({score.size(0), options.per_token}, score.options().dtype(at::kLong));
  kernels::choose_experts({.scores = score.const_data_ptr<float>(),
                           .bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr,
                           .chosen = expert_TK.mutable_data_ptr<int64_t>(),
                           .rows = score.size(0),
                           .experts = score.size(1),
                           .per_token = options.per_token,
                           .groups = options.groups,
                           .groups_kept = options.groups_kept,
                           .group_by_max = options.group_by_max});
  return expert_TK;
}

Tensor expert_gates(const Tensor& score_TE, const Tensor& expert_TK, bool normalised, double scale) {
  check_scores(score_TE, "scores");
  check(expert_TK.dim() == 2 && expert_TK.size(0) == score_TE.size(0) && expert_TK.scalar_type() == at::kLong && expert_TK.is_contiguous(),
        "[route] expected the chosen experts of ", score_TE.size(0), " tokens in int64, got ", expert_TK.scalar_type(), " ",
        expert_TK.sizes());
  return has_kernel(score_TE) ? gates_cpu(score_TE, expert_TK, normalised, scale)
                              : expert_gates_ref(score_TE, expert_TK, normalised, scale);
}

Routes route(const Tensor& logits_TE, const Tensor& bias_E, const RouteOptions& options) {
  const Tensor score_TE = expert_scores(logits_TE, options.softmax);
  const Tensor expert_TK = choose_experts(score_TE, bias_E, options);
  return {score_TE, expert_TK, expert_gates(score_TE, expert_TK, options.normalised, options.scale)};
}

}  // namespace r1::ops
