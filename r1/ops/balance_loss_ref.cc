
#include "r1/ops/balance_loss.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

Tensor balance_loss_ref(const Tensor& score_TE, const Tensor& expert_TK, const std::vector<int32_t>& cu_seqlens, Balance kind) {
  const int64_t tokens = score_TE.size(0), experts = score_TE.size(1), per_token = expert_TK.size(1);
  const Tensor share_TE = score_TE / (score_TE.sum(-1, /*keepdim=*/true) + 1e-20);
  const Tensor chose_TE = aten::one_hot(expert_TK, experts).sum(1).to(score_TE.scalar_type());
  if (kind == Balance::kSquare) return (share_TE.mean(0) - 1.0 / double(experts)).square().sum();
  if (kind == Balance::kBatch) return (chose_TE.mean(0) * share_TE.mean(0)).sum() * double(experts);
  Tensor loss = aten::zeros({}, score_TE.options());
  for (size_t s = 0; s + 1 < cu_seqlens.size(); ++s) {
    const int64_t begin = cu_seqlens[s], count = cu_seqlens[s + 1] - begin;
    if (count == 0) continue;
    const Tensor f_E = chose_TE.narrow(0, begin, count).mean(0) * (double(experts) / double(per_token));
    loss = loss + (f_E * share_TE.narrow(0, begin, count).mean(0)).sum() * (double(count) / double(tokens));
  }
  return loss;
}

}  // namespace r1::ops
