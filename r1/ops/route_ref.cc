#include <ATen/core/grad_mode.h>

#include <limits>

#include "r1/ops/route.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// The `count` best of each row; a stable sort leaves equals in their order.
Tensor best(const Tensor& values, int64_t count) {
  return std::get<1>(aten::sort(values, /*stable=*/true, /*dim=*/-1, /*descending=*/true)).narrow(-1, 0, count);
}

}  // namespace

Tensor expert_scores_ref(const Tensor& logits_TE, bool softmax) {
  return softmax ? aten::softmax(logits_TE, -1) : aten::sigmoid(logits_TE);
}

Tensor choose_experts_ref(const Tensor& score_TE, const Tensor& bias_E, const RouteOptions& options) {
  const at::NoGradGuard no_grad;
  Tensor value_TE = bias_E.defined() ? score_TE + bias_E : score_TE;
  if (options.groups_kept < options.groups) {
    const Tensor in_groups_TGM = value_TE.view({value_TE.size(0), options.groups, -1});
    const Tensor sorted_TGM = std::get<0>(aten::sort(in_groups_TGM, -1, /*descending=*/true));
    const Tensor group_TG = sorted_TGM.narrow(-1, 0, options.group_by_max ? 1 : 2).sum(-1);
    const Tensor kept_TG = aten::zeros_like(group_TG).scatter(1, best(group_TG, options.groups_kept), 1);
    value_TE = in_groups_TGM.masked_fill(kept_TG.unsqueeze(-1) == 0, -std::numeric_limits<double>::infinity()).flatten(1);
  }
  return best(value_TE, options.per_token).contiguous();
}

Tensor expert_gates_ref(const Tensor& score_TE, const Tensor& expert_TK, bool normalised, double scale) {
  const Tensor score_TK = aten::gather(score_TE, 1, expert_TK);
  return (normalised ? score_TK / (score_TK.sum(-1, /*keepdim=*/true) + 1e-20) : score_TK) * scale;
}

Routes route_ref(const Tensor& logits_TE, const Tensor& bias_E, const RouteOptions& options) {
  const Tensor score_TE = expert_scores_ref(logits_TE, options.softmax);
  const Tensor expert_TK = choose_experts_ref(score_TE, bias_E, options);
  return {score_TE, expert_TK, expert_gates_ref(score_TE, expert_TK, options.normalised, options.scale)};
}

}  // namespace r1::ops
