#include <ATen/core/grad_mode.h>

#include "r1/ops/logprob.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

LogProbs linear_logprob_ref(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, double temperature, bool want_entropy) {
  const auto wide = x_TD.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const Tensor z_TV = aten::matmul(x_TD.to(wide), head_VD.to(wide).t()) / temperature;
  const Tensor lse_T = aten::logsumexp(z_TV, {-1});
  const Tensor picked_T = z_TV.gather(1, targets_T.clamp_min(0).unsqueeze(1)).squeeze(1);
  LogProbs result;
  result.logprob_T = (picked_T - lse_T).masked_fill(targets_T < 0, 0);
  if (want_entropy) {
    const at::NoGradGuard no_grad;
    result.entropy_T = (lse_T - (aten::softmax(z_TV, -1) * z_TV).sum(-1)).detach();
  }
  return result;
}

Nll linear_nll_ref(const Tensor& x_TD, const Tensor& head_VD, const Tensor& targets_T, const Tensor& weights_T, double temperature) {
  const Tensor logprob_T = linear_logprob_ref(x_TD, head_VD, targets_T, temperature).logprob_T;
  return {-(logprob_T * weights_T).sum(), logprob_T.detach()};
}

}  // namespace r1::ops
